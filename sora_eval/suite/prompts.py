"""Prompt files: JSON lines with id, text, and optionally tags and facts."""

from __future__ import annotations

import json
import re
from pathlib import Path

from sora_eval.records.case import Prompt
from sora_eval.suite.tables import Prompts
from sora_eval.util.errors import SuiteError

_ID = re.compile(r"^[A-Za-z0-9._-]+$")


def read_prompts(suite: Path, table: Prompts) -> list[Prompt]:
    """The prompts of the [prompts] table of a suite file, at most `limit`; its path is relative to `suite`, the suite file.

    Raises SuiteError for a missing file, an invalid line, an empty prompt, a repeated id, or no prompts.
    """
    path = suite.parent / table.file
    if not path.is_file():
        raise SuiteError(f"{suite}: [prompts].file = {table.file!r}: {path} does not exist")
    prompts: list[Prompt] = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            prompt = Prompt(str(row["id"]), str(row["text"]), tuple(row.get("tags", ())), row.get("facts"))
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise SuiteError(f"{path}:{number}: expected a JSON object with id and text: {error!r}") from error
        if not _ID.match(prompt.id):
            raise SuiteError(f"{path}:{number}: id {prompt.id!r} may have letters, digits, '.', '_' and '-' only")
        if not prompt.text.strip():
            raise SuiteError(f"{path}:{number}: the prompt {prompt.id!r} is empty")
        prompts.append(prompt)
    repeated = {p.id for p in prompts if sum(q.id == p.id for q in prompts) > 1}
    if repeated or not prompts:
        raise SuiteError(f"{path}: " + (f"ids occur twice: {', '.join(sorted(repeated))}" if repeated else "no prompts"))
    return prompts[: table.limit]
