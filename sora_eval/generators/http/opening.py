"""Opens a service by its URL: `http://HOST/v1/videos[?key=value&...]`."""

from __future__ import annotations

from sora_eval.generators.http.options import read_options
from sora_eval.generators.protocol import Generator
from sora_eval.util.errors import GeneratorError


def open_http(argument: str, options: dict[str, str]) -> Generator:
    """The service at `http:ARGUMENT`. Raises GeneratorError without the extra, and where the service does not answer."""
    return _open("http", argument, options)


def open_https(argument: str, options: dict[str, str]) -> Generator:
    """As `open_http`, of `https:ARGUMENT`."""
    return _open("https", argument, options)


def _open(scheme: str, argument: str, options: dict[str, str]) -> Generator:
    read = read_options(scheme, argument, options)
    try:
        from sora_eval.generators.http.adapter import HttpGenerator
    except ModuleNotFoundError as error:
        raise GeneratorError(f"{read.url} needs {error.name}; install sora_eval[http]") from error
    return HttpGenerator(read)
