"""The options of a spec `http://HOST/v1/videos?...`: how a service is asked, and what it can make. No httpx."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sora_eval.records.capabilities import MOST_FRAMES, Capabilities
from sora_eval.records.clip import LEAST_FPS, MOST_FPS
from sora_eval.registry.spec import value_of
from sora_eval.util.errors import GeneratorError
from sora_eval.util.redaction import is_secret_name, remember

ROUTES = ("async", "sync", "plain")
BODIES = ("form", "json")
BEGINNING = ("input_reference", "image", "video")  # fields that the first frames go into
TEXTS = ("prompt", "negative_prompt", "size", "seconds")
FIELDS = (*TEXTS, "width", "height", "num_frames", "fps", "seed", "num_inference_steps", "guidance_scale", *BEGINNING)
SETTINGS = ("negative_prompt", "num_inference_steps", "guidance_scale")  # those that `[generate]` gives
ELSEWHERE = {  # what options of the command line add to a spec, which would be sent as fields
    "device": "a service has its own device",
    "damaged": "a damaged video of a service is a failed case, and --allow-damaged is of clips that exist",
}
PLACE = re.compile(r"\{(\w+)\}")
UNSTATED = Capabilities(stated=False)
MOST_BATCH, MOST_RETRIES, MOST_SECONDS = 1024, 100, 86_400


@dataclass(frozen=True)
class HttpOptions:
    """How the service at `url` is asked.

    `route`: `async` makes a job, waits for it and fetches its content; `sync` asks `url`/sync, `plain` the URL itself, which
    answer with the video. `body` is a multipart form or JSON of `fields` (all where empty), `template` JSON with fields in
    braces. `answer` is the place of the video in a JSON answer, keys and numbers joined by dots. `batch` clips are asked for at
    once. `timeout` is the seconds of one try; after 429, 5xx, a lost connection and a time-out `retries` more follow. `key_env`
    names the environment variable of the key. `keywords` are further fields, `capabilities` what the spec states.
    """

    url: str
    route: str = "async"
    body: str = "form"
    fields: tuple[str, ...] = ()
    template: Any = None
    answer: str = ""
    model: str = ""
    batch: int = 1
    timeout: float = 600.0
    retries: int = 4
    key_env: str = ""
    capabilities: Capabilities = UNSTATED
    keywords: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The key from the environment, '' without `key_env`."""
        return os.environ.get(self.key_env, "") if self.key_env else ""


def _whole(least: int, most: int) -> tuple[Callable[[str], int | None], str]:
    def read(text: str) -> int | None:
        return number if type(number := value_of(text)) is int and least <= number <= most else None

    return read, f"a whole number from {least} to {most}"


def _number(least: float, most: float) -> tuple[Callable[[str], float | None], str]:
    def read(text: str) -> float | None:
        number = value_of(text)
        return float(number) if type(number) in (int, float) and least <= number <= most else None

    return read, f"a number from {least:g} to {most:g}"


def _fields(text: str) -> tuple[str, ...] | None:
    names = tuple(text.split(","))
    return names if all(name in FIELDS for name in names) else None


_HOW: dict[str, tuple[Callable[[str], Any], str]] = {  # reads a value, None for one that is none; what was expected
    "route": (lambda text: text if text in ROUTES else None, f"one of {', '.join(ROUTES)}"),
    "body": (lambda text: text if text in BODIES else None, f"one of {', '.join(BODIES)}"),
    "fields": (_fields, f"names joined by commas, of {', '.join(FIELDS)}"),
    "answer": (lambda text: text or None, "the place of the video in a JSON answer, for example data.0.b64_json"),
    "model": (lambda text: text or None, "the name of a model of the service"),
    "batch": _whole(1, MOST_BATCH),
    "timeout": _number(0.1, MOST_SECONDS),
    "retries": _whole(0, MOST_RETRIES),
    "key_env": (lambda text: text if text.isidentifier() else None, "the name of an environment variable"),
}
_WHAT: dict[str, tuple[Callable[[str], Any], str]] = {  # capabilities that a spec states
    "fps": _number(LEAST_FPS, MOST_FPS),
    "side": _whole(1, 1024),
    "stride": _whole(1, 1024),
    "offset": _whole(0, 1024),
    "most_frames": _whole(1, MOST_FRAMES),
}
NAMES = (*_HOW, "template", *_WHAT)


def url_of(scheme: str, argument: str) -> str:
    """The URL of a spec: `http://HOST/...` is one; `http:HOST/...` and `http:https://HOST/...` are read too.

    Raises GeneratorError for what is none, and for one with a user, a password or a fragment.
    """
    whole = argument.startswith(("http://", "https://"))
    url = argument if whole else f"{scheme}://{argument.removeprefix('//')}"
    parts = urlsplit(url)
    try:
        host, _ = parts.hostname, parts.port  # the port raises where it is none
    except ValueError:
        host = None
    if not host or parts.fragment or any(c.isspace() for c in url):
        raise GeneratorError(f"{url!r} is no URL of a service; expected for example http://localhost:8000/v1/videos")
    if parts.username is not None or parts.password is not None:
        raise GeneratorError(
            f"{scheme}://{host}: a user and a password in the URL would be recorded; keys come from the environment: "
            "key_env=NAME_OF_VARIABLE"
        )
    return url.rstrip("/")


def read_options(scheme: str, argument: str, options: Mapping[str, str]) -> HttpOptions:
    """The options of a spec. Raises GeneratorError for a value that is none, and a key that stands in the spec."""
    url = url_of(scheme, argument)
    for key in options:
        if key not in NAMES and is_secret_name(key):
            raise GeneratorError(
                f"{url}: {key} would stand in the spec; keys come from the environment: key_env=NAME_OF_VARIABLE"
            )
    values: dict[str, Any] = {}
    for key, (read, expected) in {**_HOW, **_WHAT}.items():
        if key in options and (value := read(options[key])) is not None:
            values[key] = value
        elif key in options:
            raise GeneratorError(f"{url}: {key}={options[key]}; expected {expected}")
    template = _template(url, options["template"]) if "template" in options else None
    if "answer" in values and values.get("route", "async") == "async":
        raise GeneratorError(f"{url}: answer is the place of a video in the answer of route=sync or plain; say which")
    if template is not None and values.keys() & {"body", "fields"}:
        raise GeneratorError(f"{url}: a template is the whole body; leave out body and fields")
    stated = {key: values.pop(key) for key in _WHAT if key in values}
    known = {*places(template)} if template is not None else {*(values.get("fields") or FIELDS)}
    keywords = {key: value_of(text) for key, text in options.items() if key not in NAMES}
    _check_keywords(url, keywords, known if template is not None else None)
    settings = None if template is None and "fields" not in values else tuple(sorted(known - {*FIELDS} | known & {*SETTINGS}))
    first = (0, MOST_FRAMES) if known & {*BEGINNING} else (0, 0)
    capabilities = Capabilities(**stated, settings=settings, first_frames=first, stated=stated.keys() >= {"side", "stride"})
    made = HttpOptions(url, template=template, keywords=keywords, capabilities=capabilities, **values)
    if made.key_env and not made.key:
        raise GeneratorError(f"{url}: the environment variable {made.key_env}, which key_env names, is not set")
    if made.key and not (made.key.isascii() and made.key.isprintable() and " " not in made.key):
        raise GeneratorError(
            f"{url}: the value of {made.key_env} is no key: it has spaces, ends of lines or other letters in it"
        )
    remember({"key": made.key})
    return made


def _template(url: str, name: str) -> Any:
    """The JSON of a template file. Raises GeneratorError where it cannot be read."""
    try:
        template = json.loads(Path(name).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise GeneratorError(f"{url}: template={name} cannot be read as JSON: {error}") from error
    if "prompt" not in places(template):
        raise GeneratorError(f'{url}: template={name} has no "{{prompt}}"; expected JSON with fields in braces')
    return template


def places(template: Any) -> list[str]:
    """The fields in braces of a template.

    >>> places({"input": {"text": "{prompt}", "size": "{width}*{height}"}, "n": 1})
    ['prompt', 'width', 'height']
    """
    if isinstance(template, str):
        return PLACE.findall(template)
    parts = template.values() if isinstance(template, dict) else template if isinstance(template, list) else ()
    return [name for part in parts for name in places(part)]


def _check_keywords(url: str, keywords: Mapping[str, Any], known: set[str] | None) -> None:
    """Raises GeneratorError for a key that is a misspelt option, and one that a template of the fields `known` lacks."""
    for key in keywords:
        if key in ELSEWHERE:
            raise GeneratorError(f"{url}: {ELSEWHERE[key]}; leave it out")
        if key in FIELDS:
            raise GeneratorError(f"{url}: {key} is of the suite, [axes] and [generate]; leave it out of the spec")
        if close := get_close_matches(key, NAMES, 1, 0.8):
            raise GeneratorError(f"{url}: option {key!r} is not known; did you mean {close[0]!r}?")
        if known is not None and key not in known:
            raise GeneratorError(f"{url}: option {key!r} is not known, and the template has no {{{key}}}")


def check_http(argument: str, options: dict[str, str]) -> None:
    """Raises GeneratorError for what is wrong with a spec whatever the service is."""
    read_options("http", argument, options)


def check_https(argument: str, options: dict[str, str]) -> None:
    """As `check_http`."""
    read_options("https", argument, options)
