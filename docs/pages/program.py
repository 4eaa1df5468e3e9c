"""What the programs that write measured pages share. They are run from the root of the repository."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer

from reference_model.errors import ReferenceModelError
from sora_eval.util.errors import RunError, SoraEvalError
from sora_eval.util.files import write_atomic


def launch(program: Callable[..., Any]) -> None:
    """Run a program on the options of the command line; what a user can fix is one message and exit code 2."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(program)
    try:
        app()
    except (SoraEvalError, ReferenceModelError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


def check_markers(page: Path, mark: str) -> None:
    """Raises RunError for a page that cannot be read or lacks the markers of a block: before hours of runs."""
    try:
        between(page.read_text(encoding="utf-8"), mark, "")
    except OSError as error:
        raise RunError(f"{page}: {error.strerror}") from error


def between(page: str, mark: str, text: str) -> str:
    """The page with `text` between the markers of a block; the rest of it stays. Raises RunError without them.

    >>> between("a\\n<!-- m -->\\nold\\n<!-- /m -->\\nb", "m", "new").split()
    ['a', '<!--', 'm', '-->', 'new', '<!--', '/m', '-->', 'b']
    """
    begin, end = f"<!-- {mark} -->", f"<!-- /{mark} -->"
    try:
        before, rest = page.split(begin)
        after = rest.split(end)[1]
    except (ValueError, IndexError):
        raise RunError(f"the page lacks the markers {begin} and {end}, between which the table goes") from None
    return f"{before}{begin}\n{text}\n{end}{after}"


def inside(page: str, mark: str) -> str:
    """What is between the markers of a block; '' without them.

    >>> inside(between("<!-- m --><!-- /m -->", "m", "new"), "m")
    'new'
    """
    _, _, rest = page.partition(f"<!-- {mark} -->")
    return rest.partition(f"<!-- /{mark} -->")[0].strip()


def write_page(page: Path, text: str) -> None:
    """Write a page whole. Raises RunError where it cannot be written."""
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(page, text)
    except OSError as error:
        raise RunError(f"cannot write {page}: {error.strerror}; choose another --page") from error
    print(f"wrote {page}")
