"""`sora-eval schema`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from sora_eval.util.errors import SuiteError, near
from sora_eval.util.visible import say

EXAMPLES = "Examples: sora-eval schema suite > suite.schema.json; sora-eval schema --out schemas"


def schema(
    name: Annotated[
        str | None, typer.Argument(help="suite, prompts, run, verdicts, or a table of a run; left out, all.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder of the files NAME.schema.json.")] = None,
) -> None:
    """Write JSON schemas of suites, verdicts.json and the tables of a run; editors complete and check suites by them.

    Without --out, the schema of NAME is printed.
    """
    from sora_eval.runs.schemas import SCHEMAS, schema_of
    from sora_eval.util.files import write_atomic

    if name is not None and name not in SCHEMAS:
        raise SuiteError(f"schema {name!r} is not known{near(name, list(SCHEMAS))}")
    if out is None and name is None:
        raise SuiteError(f"name one to print, or give --out FOLDER for all; schemas: {', '.join(SCHEMAS)}")
    if out is None:
        say(json.dumps(schema_of(str(name)), indent=2))
        return
    try:
        out.mkdir(parents=True, exist_ok=True)
        for each in [name] if name else SCHEMAS:
            path = out / f"{each}.schema.json"
            write_atomic(path, json.dumps(schema_of(each), indent=2) + "\n")
            say(path)
    except OSError as error:
        raise SuiteError(f"{out} cannot be written: {error.strerror}; choose another --out") from error
