"""A gate's result as a comment on a change: the verdict, the rows that are not green, the clips to look at."""

from __future__ import annotations

import re
from textwrap import shorten

from sora_eval.records.verdict import GateResult
from sora_eval.runs.folder import RunFolder
from sora_eval_reports.answer.verdict import of_gate
from sora_eval_reports.text import tables
from sora_eval_reports.text.gate import sides, verdict_notes, verdict_table

NAME = "sora-eval"
ROWS = 40  # that are shown, worst first; a comment on GitHub holds 65536 characters
REASON = 600  # characters of a reason


def marker(name: str = NAME) -> str:
    """The hidden first line by which the comment is found again and replaced; jobs of one change have one `name` each.

    >>> marker("gate: speed -->")
    '<!-- sora-eval:gate--speed---- -->'
    """
    return f"<!-- sora-eval:{re.sub(r'[^A-Za-z0-9._-]', '-', name)} -->"


def comment(
    result: GateResult | None, run: str, name: str = NAME, clips: tuple[str, ...] = (), folder: RunFolder | None = None
) -> str:
    """The comment as Markdown of GitHub and GitLab. `clips` are the ids of the clips in the contact sheet beside it; those that
    carry the verdict are of the `folder` of the run.

    Without a `result` it says that `run` was not judged, so that it never stands there with the verdict of an older run.
    """
    if result is None:
        return f"{marker(name)}\n## gate: no verdict\n\n{_text(f'run {run} was not judged; the log of the job says why')}\n"
    parts = [f"{marker(name)}\n## {_text(result.headline)}", _text(of_gate(result, folder).text), _text(sides(result))]
    open_rows = tuple(r for r in result.rows if not r.verdict.green)
    if open_rows:
        table = verdict_table(GateResult(open_rows, result.strict, result.profile, {}, {}, alpha=result.alpha))
        reasons = verdict_notes(GateResult(open_rows, result.strict, result.profile, {}, {}))
        parts += [tables.markdown(table.head(ROWS)), "\n".join(f"- {_text(r)}" for r in reasons[:ROWS])]
        if len(open_rows) > ROWS:
            parts.append(f"and {len(open_rows) - ROWS} more rows in report.html")
    if clips:
        parts.append("Worst clips, in `worst.png` from above: " + ", ".join(_text(c) for c in clips))
    return _unlinked("\n\n".join(parts)) + "\n"


def _text(text: str) -> str:
    return tables.escape(shorten(text, REASON, placeholder=" ..."))


def _unlinked(text: str) -> str:
    """Without mentions: no name in a prompt or a message sends mail to its owner."""
    return text.replace("@", "@\u200b")
