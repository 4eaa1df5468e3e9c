"""The model that a service serves, as far as it says: asked once, before anything is generated."""

from __future__ import annotations

from typing import Any

from sora_eval.generators.http.exchange import ServiceError, client_of, exchange, record_of
from sora_eval.generators.http.options import HttpOptions
from sora_eval.util.errors import GeneratorError, near

PROBE_SECONDS = 8.0
HAS_NONE = (404, 405, 501)  # statuses of a service that lists no models


async def named_model(options: HttpOptions) -> dict[str, str]:
    """`id` and, of a folder or a name on a hub, `root` of the model of a service; empty where it names none.

    The route `plain` has no list of models: its model is what the spec says. Raises GeneratorError where nothing answers, or no
    JSON, and for a model that the service does not have.
    """
    once = HttpOptions(options.url, timeout=PROBE_SECONDS, retries=0, key_env=options.key_env)
    stated = {"id": options.model} if options.model else {}
    url = options.url if options.route == "plain" else f"{options.url.rpartition('/')[0]}/models"
    async with client_of(once) as client:
        try:
            response = await exchange(client, once, "GET", url)
        except ServiceError as error:
            if error.status in HAS_NONE or (options.route == "plain" and error.status is not None):
                return stated
            raise
    if options.route == "plain":
        return stated
    return _chosen(options, record_of(response, "the JSON list of its models; is the URL that of /v1/videos?"))


def _chosen(options: HttpOptions, record: dict[str, Any]) -> dict[str, str]:
    """The model that `model` names among those of a service, or the only one. Raises GeneratorError."""
    listed = record.get("data")
    entries = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    models = {entry["id"]: entry for entry in entries if isinstance(entry.get("id"), str)}
    if options.model and models and options.model not in models:
        raise GeneratorError(f"{options.url} has no model {options.model!r}{near(options.model, list(models))}")
    if not options.model and len(models) > 1:
        raise GeneratorError(f"{options.url} has {len(models)} models; choose one: model={next(iter(models))}")
    name = options.model or next(iter(models), "")
    if not name:
        return {}
    root = models.get(name, {}).get("root")
    return {"id": name, **({"root": root} if isinstance(root, str) else {})}
