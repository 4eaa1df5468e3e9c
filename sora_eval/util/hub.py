"""The model hub, or without it the cache of what was fetched before: an unreachable one is found out within seconds.

The hub's own client asks for every file again and again for most of a minute before it says that there is no network.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from urllib.parse import urlsplit

from sora_eval.util.errors import line_of

SECONDS = 4.0  # for one answer of a host
SILENCE = 10.0  # s without a byte of a download from elsewhere, after which it has failed
GATEWAY = (407, 502, 503, 504)  # answers of a proxy for a host that it does not reach
TIMEOUT = "HF_HUB_ETAG_TIMEOUT"  # the hub's own variable, s


@contextmanager
def hub_or_cache() -> Iterator[None]:
    """Inside, libraries take files from the hub, or where it does not answer, from its cache alone, without a retry.

    They are quiet; `hub_problem` is the cause of an error of theirs, where there is one.
    """
    from huggingface_hub import constants

    before, timeout = constants.HF_HUB_OFFLINE, socket.getdefaulttimeout()
    constants.HF_HUB_OFFLINE = before or bool(hub_problem())
    socket.setdefaulttimeout(SILENCE if timeout is None else timeout)
    try:
        with quietly():
            yield
    finally:
        constants.HF_HUB_OFFLINE = before
        socket.setdefaulttimeout(timeout)


@contextmanager
def quietly() -> Iterator[None]:
    """Inside, no library logs: the error of whoever loads something says all."""
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(level)


def hub_problem() -> str:
    """Why the model hub cannot be used: it is switched off, or does not answer; '' where it does."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return "the model hub is switched off by HF_HUB_OFFLINE"
    return problem_of(constants.ENDPOINT)


@cache
def problem_of(url: str) -> str:
    """Why nothing answers at a URL within SECONDS, in words; '' where something does. Asked once per process."""
    seconds = _seconds()
    result = [f"no answer within {seconds:g} s; {TIMEOUT} waits longer"]
    asking = threading.Thread(target=_ask, args=(url, seconds, result), daemon=True)
    asking.start()
    asking.join(seconds)  # a name server that does not answer knows no other limit
    return f"{urlsplit(url).hostname} cannot be reached: {result[0]}" if result[0] else ""


def _seconds() -> float:
    try:
        return float(os.environ[TIMEOUT])
    except (KeyError, ValueError):
        return SECONDS


def _ask(url: str, seconds: float, result: list[str]) -> None:
    """Set the one item of `result` to the problem, or ''; a proxy of the environment is used."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=seconds):
            pass
    except urllib.error.HTTPError as error:
        result[0] = f"HTTP {error.code}" if error.code in GATEWAY else ""  # all else is an answer
        return
    except urllib.error.URLError as error:
        result[0] = line_of(error.reason) if isinstance(error.reason, BaseException) else str(error.reason)
        return
    except Exception as error:
        result[0] = line_of(error)
        return
    result[0] = ""
