# sora-eval as a user without rights; how to use it, with a GPU and without: docs/ci.md
#   docker build --tag sora-eval .
#   docker run --rm --volume "$PWD":/work --volume sora-eval:/cache sora-eval run quick
FROM python:3.11-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY sora_eval ./sora_eval
COPY reference_model ./reference_model
COPY suites ./suites
COPY reports ./reports
RUN pip wheel --no-deps --wheel-dir /wheels .

FROM python:3.11-slim
# PyPI's torch brings CUDA along. Without a GPU: --build-arg PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu
ARG PIP_EXTRA_INDEX_URL
ARG EXTRAS=diffusers,mlflow,tensorboard,wandb
COPY --from=build /wheels /wheels
RUN pip install --no-cache-dir "$(echo /wheels/*.whl)[$EXTRAS]"
# Whoever `docker run --user` names may write to both; what is fetched stays in a volume at /cache.
RUN install -d -m 1777 /work /cache
ENV HOME=/cache USER=sora-eval
WORKDIR /work
USER 1000
ENTRYPOINT ["sora-eval"]
CMD ["--help"]
