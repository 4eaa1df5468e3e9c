"""Secrets: texts that are recorded or shown hold REDACTED in their place.

A secret is known by the name of its option, parameter or environment variable, by its shape (keys of well-known services, user
and password in a URL), or because a spec or an environment variable of such a name holds it. What a run needs again, it takes
from the environment: `api_key` of a spec or of a metric from `SORA_EVAL_API_KEY`.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from typing import Any

MARK = "REDACTED"
PREFIX = "SORA_EVAL_"
WORKING_FOLDER = "PWD"  # a shell's name for it, which is one of a password elsewhere
LEAST_CHARACTERS = 6  # of a value that is looked for in other texts: shorter ones are words
_ANYWHERE = frozenset({"apikey", "secret", "password", "passwd", "passphrase", "credential", "credentials"})
_AT_THE_END = _ANYWHERE | {"key", "token", "pwd", "auth", "authorization"}  # a `key_frame` is none
_IN_URLS = _AT_THE_END | {"signature", "sig"}
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_SHAPES = re.compile(
    r"\bsk-[A-Za-z0-9_-]{8,}|\bhf_[A-Za-z0-9]{16,}|\bgh[opusr]_[A-Za-z0-9]{8,}|\bgithub_pat_\w{8,}|\bxox[abprs]-[\w-]{8,}"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{12,}|\bAIza[\w-]{20,}|\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"
)
_BEARER = re.compile(r"(?i)\b(bearer)\s+(?:(?=\S*\d)[\w.~+/=-]{8,}|[\w.~+/=-]{20,})")
_USER = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)[^/\s?#@'\"]+@")
_PARAMETER = re.compile(r"([?&;])([\w.-]+)=([^&;\s'\"<>|)\]]+)")
_ASSIGNMENT = re.compile(r"(?<![\w.?&;-])(-{0,2}[A-Za-z][\w.-]*)(\s*=\s*|=)([^\s&;'\"<>,|)\]}]{8,})")
_HEADER = re.compile(
    r"(?i)\b((?:proxy-)?authorization|x-[a-z-]*(?:key|token)|api[-_]?key)(['\"]?\s*:\s*['\"]?)(?:(?:bearer|basic)\s+)?"
    r"[^\s'\",}]+"
)
_NAME = re.compile(r"[\w.:\"'-]+")
_TEXT_KEY = re.compile(r'"([\w.-]+)":"')
_known: set[str] = set()  # values of secrets of the specs that this process has read


@cache
def is_secret_name(name: str, endings: frozenset[str] = _AT_THE_END) -> bool:
    """Whether a name, by its words, is one of a secret.

    >>> [is_secret_name(n) for n in ("api_key", "OPENAI_API_KEY", "authToken", "max_tokens", "GIT_AUTHOR", "key_frame")]
    [True, True, True, False, False, False]
    """
    words = [word.lower() for word in _WORDS.findall(name)]
    return bool(words) and (words[-1] in endings or not _ANYWHERE.isdisjoint(words))


def remember(options: Mapping[str, Any]) -> None:
    """Note the secrets among options, so that texts that repeat them are redacted too."""
    for name, value in options.items():
        if is_secret_name(name, _IN_URLS) and isinstance(value, str) and len(value) >= LEAST_CHARACTERS and value != MARK:
            _known.add(value)


def redact(text: str) -> str:
    """The text with MARK in place of every secret.

    >>> redact("noise:x?api_key=abc&steps=3"), redact("https://me:pass@host/v1?sig=9f&x=1")
    ('noise:x?api_key=REDACTED&steps=3', 'https://REDACTED@host/v1?sig=REDACTED&x=1')
    >>> redact("401: Bearer abcdefgh12345 is not valid"), redact("clip_score|weights:0a1b|key 3 of 4")
    ('401: Bearer REDACTED is not valid', 'clip_score|weights:0a1b|key 3 of 4')
    """
    return by_rule(_without_known(text))


def by_rule(text: str) -> str:
    """`redact` by names and shapes alone: the same on every machine, whatever its environment holds."""
    text = _SHAPES.sub(MARK, text)
    text = _BEARER.sub(rf"\1 {MARK}", text)
    text = _USER.sub(rf"\1{MARK}@", text)
    text = _HEADER.sub(rf"\1\2{MARK}", text)
    text = _PARAMETER.sub(_parameter, text)
    return _ASSIGNMENT.sub(_assignment, text)


def _parameter(match: re.Match[str]) -> str:
    secret = is_secret_name(match[2], _IN_URLS)
    return f"{match[1]}{match[2]}={MARK if secret else _PARAMETER.sub(_parameter, match[3])}"  # a URL has parameters of its own


def _assignment(match: re.Match[str]) -> str:
    return f"{match[1]}{match[2]}{MARK}" if is_secret_name(match[1]) else match[0]


def _without_known(text: str) -> str:
    held = {name: value for name, value in os.environ.items() if name != WORKING_FOLDER and is_secret_name(name)}
    environment = (value for value in held.values() if len(value) >= LEAST_CHARACTERS)
    values = {*_known, *environment}
    for value in sorted({*values, *(json.dumps(v, ensure_ascii=False)[1:-1] for v in values)}, key=len, reverse=True):
        if value in text:
            text = re.sub(rf"(?<![A-Za-z0-9]){re.escape(value)}(?![A-Za-z0-9])", MARK, text)
    return text


def redacted(data: Any, unchanged: Collection[str] = (), text: Callable[[str], str] = redact) -> Any:
    """JSON data with every text redacted, and the values of keys that name secrets; those of the keys `unchanged` stay.

    >>> redacted({"model": "m", "api_key": "abc", "prompt": "key=abcdefghij"}, unchanged=("prompt",))
    {'model': 'm', 'api_key': 'REDACTED', 'prompt': 'key=abcdefghij'}
    """
    if isinstance(data, str):
        return text(data)
    if isinstance(data, Mapping):
        return {
            key: value
            if key in unchanged
            else MARK
            if isinstance(value, str) and value and is_secret_name(str(key))
            else redacted(value, unchanged, text)
            for key, value in data.items()
        }
    if isinstance(data, (list, tuple)):
        return [redacted(value, unchanged, text) for value in data]
    return data


def redacted_lines(lines: str, unchanged: Collection[str] = ()) -> str:
    """Lines of JSON with their texts redacted; without secrets, as almost all are, they stay as they are."""
    if redact(lines) == lines and not any(map(is_secret_name, _TEXT_KEY.findall(lines))):
        return lines
    rows = [redacted(json.loads(line), unchanged) for line in lines.split("\n")[:-1]]
    return "".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in rows)


def redacted_command(arguments: Sequence[str]) -> str:
    """A command line as one text: also without the value that follows an option with the name of a secret.

    >>> redacted_command(["tool", "--api-key", "abc", "-g", "noise?token=abc"])
    'tool --api-key REDACTED -g noise?token=REDACTED'
    >>> redacted_command(["run", "--set", "metrics.judge.api_key=abc"])
    'run --set metrics.judge.api_key=REDACTED'
    """
    words: list[str] = []
    for place, argument in enumerate(arguments):
        before = arguments[place - 1] if place else ""
        name, equals, _ = argument.partition("=")
        if before.startswith("--") and "=" not in before and is_secret_name(before) and not argument.startswith("-"):
            words.append(MARK)
        elif equals and _NAME.fullmatch(name) and is_secret_name(name):
            words.append(f"{name}={MARK}")
        else:
            words.append(redact(argument))
    return " ".join(words)


def absent_secrets(options: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the options whose secret is recorded nowhere: not here, and not in the environment."""
    marked = {key: value for key, value in options.items() if isinstance(value, str) and MARK in value}
    return {key: value for key, value in marked.items() if not os.environ.get(variable_of(key))}


def given_again(options: Mapping[str, Any], what: str, error: type[Exception]) -> dict[str, Any]:
    """The options with the secrets that a record leaves out, from the environment: of `api_key` from `SORA_EVAL_API_KEY`.

    Raises `error` that names the variables that are not set; `what` is the owner of the options.
    """
    if absent := absent_secrets(options):
        variables = " and ".join(f"{variable_of(key)} (its {key.strip(':')})" for key in absent)
        raise error(f"{what}: secrets are not recorded; give them again by the environment: set {variables}")
    secrets = {key: os.environ[variable_of(key)] for key, value in options.items() if isinstance(value, str) and MARK in value}
    _known.update(value for value in secrets.values() if len(value) >= LEAST_CHARACTERS)
    return {**options, **secrets}


def variable_of(option: str) -> str:
    """The environment variable of an option's secret.

    >>> variable_of("api-key")
    'SORA_EVAL_API_KEY'
    """
    return PREFIX + re.sub(r"\W+", "_", option).strip("_").upper()
