"""A service that speaks the video API of OpenAI, vLLM-Omni and SGLang, or plain JSON: the spec is its URL. Needs the extra
`http`.

Sources: https://platform.openai.com/docs/api-reference/videos, https://docs.vllm.ai/projects/vllm-omni (Videos API),
https://github.com/sgl-project/sglang (docs/diffusion/openai_api.md).
"""

from __future__ import annotations

import base64
import hashlib
import json
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

import anyio
import httpx
from anyio.from_thread import start_blocking_portal

from sora_eval.generators.http.body import body_of
from sora_eval.generators.http.exchange import client_of, exchange, message_of, record_of
from sora_eval.generators.http.models import named_model
from sora_eval.generators.http.options import HttpOptions
from sora_eval.generators.protocol import QUEUE, READ, Generator
from sora_eval.records.clip import Clip
from sora_eval.records.request import Request
from sora_eval.util.errors import ClipError, GeneratorError, SoraEvalError
from sora_eval.video.codec import read_clip

EXCHANGE_SECONDS = 60.0  # of creating a job, and of asking for its state
SUFFIXES = {  # what the reader goes by; any other type is read as it begins
    "video/webm": ".webm",
    "video/x-matroska": ".mkv",
    "video/quicktime": ".mov",
    "image/gif": ".gif",
    "image/webp": ".webp",
}
WAITING = ("queued", "pending")
DONE, FAILED = ("completed", "succeeded"), ("failed", "cancelled", "canceled", "expired", "error")


class HttpGenerator(Generator):
    """A service that is asked for up to `batch` clips at once. A request that fails has its error in the place of its clip.

    Raises GeneratorError where nothing answers, and for a model that the service does not have.
    """

    name = "http"
    independent = concurrent = True

    def __init__(self, options: HttpOptions) -> None:
        self._options, self.batch, self.capabilities = options, options.batch, options.capabilities
        with start_blocking_portal() as portal:
            self._model = portal.call(named_model, options)
        self.checkpoint = self._model.get("id") or urlsplit(options.url).netloc

    @property
    def where(self) -> dict[str, Any]:
        """The service: another one is another machine."""
        return {"provider": "http", "url": self._options.url, "route": self._options.route}

    def fingerprint(self) -> str:
        """Hash of the model that the service names, of its URL where it names none, and of the options that change a clip."""
        o = self._options
        known = {"model": self._model or o.url, "fields": o.fields, "template": o.template, "keywords": dict(o.keywords)}
        return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def not_covered(self) -> str:
        """A service may change at any time what a name stands for."""
        what = f"the name {self.checkpoint!r}" if self._model else self._options.url
        return f"the weights, settings and software behind {what}"

    def generate(self, requests: Sequence[Request]) -> list[Clip | SoraEvalError]:
        with start_blocking_portal() as portal:  # a notebook has a loop in this thread; Ctrl-C cancels what is under way
            return portal.call(self._all, requests)

    async def _all(self, requests: Sequence[Request]) -> list[Clip | SoraEvalError]:
        found: dict[int, Clip | SoraEvalError] = {}

        async def one(place: int) -> None:
            found[place] = await self._one(client, requests[place])

        async with client_of(self._options) as client, anyio.create_task_group() as group:
            for place in range(len(requests)):
                group.start_soon(one, place)
        return [found[place] for place in range(len(requests))]

    async def _one(self, client: httpx.AsyncClient, request: Request) -> Clip | SoraEvalError:
        o, started = self._options, time.perf_counter()
        try:
            body = body_of(request, o)
            if o.route == "async":
                return await self._job(client, body)
            response = await exchange(client, o, "POST", f"{o.url}/sync" if o.route == "sync" else o.url, **body)
            content, kind = await self._video(client, response)
            return await _clip(content, kind, o.url, {"wait": time.perf_counter() - started})
        except SoraEvalError as error:
            return error

    async def _job(self, client: httpx.AsyncClient, body: dict[str, Any]) -> Clip:
        """Make a job, wait for it and fetch its video. A job that is given up is deleted, so that it holds no device."""
        o, started = self._options, time.perf_counter()
        short = min(EXCHANGE_SECONDS, o.timeout)
        expected = "the JSON record of a job, with its id (a service that answers with the video: route=plain)"
        job = record_of(await exchange(client, o, "POST", o.url, short, **body), expected)
        if not isinstance(job.get("id"), str) or not job["id"]:
            raise GeneratorError(f"POST {o.url}: found no id in {message_of(job)}; expected {expected}")
        url, begun = f"{o.url}/{quote(job['id'], safe='')}", dict[str, float]()
        try:
            while (state := job.get("status")) not in (*DONE, *FAILED):
                waited = time.perf_counter() - started
                if not isinstance(state, str):
                    known = "queued, in_progress, completed or failed"
                    raise GeneratorError(f"{url}: found status {state!r:.60}; expected {known}")
                if state not in WAITING:
                    begun.setdefault(QUEUE, waited)
                if waited > o.timeout:
                    raise GeneratorError(f"{url} is still {state} after {o.timeout:g} s; give it longer with timeout=SECONDS")
                await anyio.sleep(min(max(waited / 20, 0.05), 5.0))  # times are true to 5 %
                job = record_of(await exchange(client, o, "GET", url, short), "the JSON record of the job")
        except BaseException:
            with anyio.move_on_after(2, shield=True), suppress(httpx.HTTPError):
                await client.delete(url)
            raise
        if state in FAILED:
            raise GeneratorError(f"{url}: {state}: {message_of(job)}")
        waited = time.perf_counter() - started
        response = await exchange(client, o, "GET", f"{url}/content")
        times = {**begun, "wait": waited, "download": time.perf_counter() - started - waited}
        return await _clip(response.content, _kind(response), f"{url}/content", times)

    async def _video(self, client: httpx.AsyncClient, response: httpx.Response) -> tuple[bytes, str]:
        """The bytes of a video and their type: of the answer, or of what its JSON holds or names at `answer`."""
        o = self._options
        if not o.answer:
            return response.content, _kind(response)
        found: Any = record_of(response, f"JSON with the video at {o.answer}")
        for key in o.answer.split("."):
            try:
                found = found[int(key)] if isinstance(found, list) else found[key]
            except (KeyError, IndexError, ValueError, TypeError):
                raise GeneratorError(
                    f"POST {o.url}: found no {o.answer} in {message_of(response.json())}; answer={o.answer} names its place"
                ) from None
        if not isinstance(found, str):
            raise GeneratorError(f"POST {o.url}: found a {type(found).__name__} at {o.answer}; expected a URL or base64")
        if found.startswith(("http://", "https://", "/")) and len(found) < 8192 and not found.startswith("//"):
            place = urljoin(o.url, found)
            if httpx.URL(place).netloc == httpx.URL(o.url).netloc:
                fetched = await exchange(client, o, "GET", place)
            else:
                async with client_of(replace(o, key_env="")) as other:  # the key is of the service alone
                    fetched = await exchange(other, o, "GET", place)
            return fetched.content, _kind(fetched)
        head, _, text = found.rpartition(",")
        try:
            return base64.b64decode(text, validate=True), head.removeprefix("data:").partition(";")[0]
        except ValueError as error:
            raise GeneratorError(f"POST {o.url}: what is at {o.answer} is neither a URL nor base64") from error


def _kind(response: httpx.Response) -> str:
    return str(response.headers.get("content-type", "")).partition(";")[0].strip().lower()


async def _clip(content: bytes, kind: str, url: str, seconds: dict[str, float]) -> Clip:
    """The clip of a video's bytes. Raises GeneratorError for what is none, a damaged one too."""
    if not content or kind.startswith("text/") or kind == "application/json":
        shown = " ".join(content[:160].decode("utf-8", "replace").split())
        raise GeneratorError(f"{url}: found {kind or 'no type'}, {len(content)} bytes: {shown!r}; expected a video")
    started = time.perf_counter()
    clip = await anyio.to_thread.run_sync(_read, content, kind, url)
    return Clip(clip.frames, clip.fps, {**seconds, READ: time.perf_counter() - started}, clip.notes)


def _read(content: bytes, kind: str, url: str) -> Clip:
    with tempfile.TemporaryDirectory(prefix="sora-eval-") as folder:
        path = Path(folder) / f"answer{SUFFIXES.get(kind, '.mp4')}"
        path.write_bytes(content)
        try:
            return read_clip(path)
        except ClipError as error:  # it says nothing of the shapes that the service makes
            raise GeneratorError(str(error).replace(str(path), f"the video of {url}")) from error
