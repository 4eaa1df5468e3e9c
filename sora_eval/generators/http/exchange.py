"""One exchange with a service: tried again after 429, 5xx, a lost connection and a time-out; every fault is one message."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import anyio
import httpx
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt, wait_random_exponential

from sora_eval.generators.http.options import HttpOptions
from sora_eval.util.errors import GeneratorError, words_of

CONNECT_SECONDS = 5.0
AGAIN = (408, 425, 429)  # and 5xx
MOST_CHARACTERS = 160  # of an answer, in a message
LONGEST_PAUSE = 30.0  # seconds between two tries of a service that names none


class ServiceError(GeneratorError):
    """A fault of an exchange: the `status` of the answer, None without one; whether trying `again` may help, and the seconds of
    `pause` that the service asks for before, None where it names none."""

    def __init__(self, message: str, status: int | None = None, again: bool = False, pause: float | None = None) -> None:
        super().__init__(message)
        self.status, self.again, self.pause = status, again, pause


def client_of(options: HttpOptions) -> httpx.AsyncClient:
    """A client with the key of the environment; a redirect to another host does not get it."""
    headers = {"Authorization": f"Bearer {options.key}"} if options.key else {}
    timeout = httpx.Timeout(options.timeout, connect=min(CONNECT_SECONDS, options.timeout))
    limits = httpx.Limits(max_connections=None)
    return httpx.AsyncClient(headers=headers, timeout=timeout, limits=limits)


async def exchange(
    client: httpx.AsyncClient, options: HttpOptions, method: str, url: str, timeout: float | None = None, **body: Any
) -> httpx.Response:
    """The answer to one request, of a status below 300. `timeout` is the seconds of a try, up to its last byte.

    Raises ServiceError with what was found: after the last try, and at once where another try would not help.
    """
    limit = options.timeout if timeout is None else timeout
    async for attempt in AsyncRetrying(
        stop=stop_after_attempt(options.retries + 1),
        wait=_pause,
        retry=retry_if_exception(lambda error: isinstance(error, ServiceError) and error.again),
        sleep=anyio.sleep,
        reraise=True,
    ):
        with attempt:
            response = await _try(client, options, method, url, limit, body)
    return response


async def _try(
    client: httpx.AsyncClient, options: HttpOptions, method: str, url: str, limit: float, body: dict[str, Any]
) -> httpx.Response:
    asked = f"{method} {url}"
    try:
        with anyio.fail_after(limit):
            response = await client.request(method, url, follow_redirects=method == "GET", **body)
    except (TimeoutError, httpx.TimeoutException) as error:
        what = "could not be reached" if isinstance(error, httpx.ConnectTimeout) else "no answer"
        raise ServiceError(f"{asked}: {what} within {limit:g} s", again=True) from error
    except httpx.TransportError as error:
        raise ServiceError(f"{asked}: {words_of(error)}; is the service running there?", again=True) from error
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:  # redirects in a circle, a URL or a key that is none
        raise ServiceError(f"{asked}: {words_of(error)}") from error
    check(response, asked, options)
    return response


def check(response: httpx.Response, asked: str, options: HttpOptions) -> None:
    """Raises ServiceError for an answer of a status that is none of success."""
    status = response.status_code
    if response.is_success:
        return
    found = f"{asked}: {status} {response.reason_phrase}{_said(response)}"
    if status in AGAIN or status >= 500:
        pause = pause_of(response.headers.get("retry-after", ""))
        if pause is not None and pause > options.timeout:
            raise ServiceError(
                f"{found}; it asks for a pause of {pause:.0f} s, longer than timeout={options.timeout:g}", status
            )
        raise ServiceError(found, status, True, pause)
    if status in (401, 403):
        key = f"is the key in {options.key_env} right?" if options.key_env else "name the variable of its key: key_env=NAME"
        raise ServiceError(f"{found}; {key}", status)
    if response.is_redirect:
        raise GeneratorError(f"{found}; it leads to {response.headers.get('location', 'nowhere')}: use that URL", status)
    raise ServiceError(found, status)


def pause_of(retry_after: str) -> float | None:
    """The seconds of a Retry-After header, a number or a date; None for one that is neither.

    >>> pause_of("2"), pause_of("soon"), pause_of("Wed, 21 Oct 2015 07:28:00 GMT")
    (2.0, None, 0.0)
    """
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        when = parsedate_to_datetime(retry_after)
    except (ValueError, TypeError):
        return None
    return max((when.replace(tzinfo=when.tzinfo or UTC) - datetime.now(UTC)).total_seconds(), 0.0)


_back_off = wait_random_exponential(multiplier=0.5, max=LONGEST_PAUSE)


def _pause(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome is not None else None
    asked = error.pause if isinstance(error, ServiceError) else None
    return _back_off(state) if asked is None else asked


def record_of(response: httpx.Response, expected: str) -> dict[str, Any]:
    """The JSON object of an answer. Raises GeneratorError, which shows the beginning of anything else."""
    try:
        record = response.json()
    except ValueError:
        record = None
    if not isinstance(record, dict):
        kind = response.headers.get("content-type", "no type")
        asked = f"{response.request.method} {response.request.url}"
        raise GeneratorError(f"{asked}: found {kind}{_said(response)}; expected {expected}")
    return record


def message_of(record: Any) -> str:
    """What a JSON answer says of an error: its `error.message`, `message` or `detail`; else the beginning of all of it."""
    if isinstance(record, dict):
        error = record.get("error")
        for part in (error.get("message") if isinstance(error, dict) else error, record.get("message"), record.get("detail")):
            if part:
                return _shown(part if isinstance(part, str) else json.dumps(part))
    return _shown(json.dumps(record))


def _said(response: httpx.Response) -> str:
    """What an answer says, after a colon; '' for an empty one and one that is no text."""
    if not response.content:
        return ""
    try:
        return f": {message_of(response.json())}"
    except ValueError:
        is_text = b"\0" not in response.content[:MOST_CHARACTERS]
        return f": {_shown(response.content[: 4 * MOST_CHARACTERS].decode('utf-8', 'replace'))}" if is_text else ""


def _shown(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= MOST_CHARACTERS else f"{line[:MOST_CHARACTERS]} ..."
