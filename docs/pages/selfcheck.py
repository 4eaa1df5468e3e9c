"""`docs/selfcheck.md` and its picture: which metric sees which damage, on clips of the world."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from docs.pages.program import launch, write_page
from sora_eval.selfcheck.check import selfcheck
from sora_eval.selfcheck.responses import CORRELATED, NOTICED
from sora_eval.selfcheck.result import Result
from sora_eval_reports.export.selfcheck import (
    caught_table,
    claims_table,
    codec_table,
    decoding_table,
    heat_map,
    print_result,
    response_table,
    trivial_table,
    write_files,
)
from sora_eval_reports.text.tables import markdown

COMMAND = "python -m docs.pages.selfcheck"


def main(
    page: Annotated[Path, typer.Option(help="The page; its picture goes into images/ beside it.")] = Path("docs/selfcheck.md"),
    out: Annotated[Path, typer.Option(help="Folder of the files; a killed selfcheck resumes from it.")] = Path("selfcheck"),
) -> None:
    """Run the selfcheck with its defaults and write docs/selfcheck.md."""
    result = selfcheck(out=out)
    print_result(result, write_files(result, out))
    write(result, page)


def write(result: Result, page: Path) -> None:
    """The page, and its picture in `images/` beside it."""
    picture = page.parent / "images" / "selfcheck.png"
    write_page(page, page_text(result))
    picture.parent.mkdir(parents=True, exist_ok=True)
    heat_map(result, picture)


def page_text(result: Result) -> str:
    """The whole page in Markdown."""
    signatures = dict.fromkeys(f"`{r.metric}`: `{r.signature}`" for r in result.rows)
    source = "of the world" if result.exact else "of a folder"
    about = (
        f"Written by `{COMMAND}` on {result.n} clips {source} (`{result.clips}`): **{result.verdict}**. Every metric sees the "
        "same clips clean, under graded damage of five strengths, and as trivial clips. A metric that does not answer to what "
        "it claims to measure fails the check, and so does one whose documented blind spot is not one. The claims were "
        "narrowed after a look at clips of the suites `world` and `quick`; other clips and seeds test them more fairly."
    )
    terms = (
        "**Rank correlation**: Spearman's, of strength (0 to 1 in fifths) with the mean paired change. **Effect**: mean paired "
        "change at full strength in standard deviations of the changes over clips; for set metrics the deviation comes from "
        "the paired jackknife, so the numbers read alike; 99 is where all clips change alike. A metric *sees* a corruption "
        f"with an effect of at least {NOTICED:g} and a rank correlation of at least {CORRELATED:g} in the same direction, and "
        "is *blind* to it with a smaller effect; `unclear` is an effect that does not grow with strength."
    )
    files = (
        "The first clips are written to files of many kinds and read again. A file without loss is read as the clip; where a "
        "codec loses something, files of that codec are read alike whatever the container, and with the clip's shape and rate. "
        "Turned: stored lying, with the display matrix that puts it upright. Uneven times: every second frame a quarter of a "
        "frame late."
    )
    parts = [
        "# Selfcheck",
        about,
        "![Effects of corruptions on metrics](images/selfcheck.png)",
        terms,
        *_section("Failures", pd.DataFrame(), "\n".join(f"- {f}" for f in result.failures)),
        *_section(
            "Metrics that could not be made", pd.DataFrame(), "\n".join(f"- {k}: {v}" for k, v in result.missing.items())
        ),
        *_section("Who catches what", caught_table(result)),
        *_section("Claims", claims_table(result, blind=False)),
        *_section("Documented blind spots", claims_table(result, blind=True)),
        *_section("Trivial clips", trivial_table(result)),
        *_section("Files", decoding_table(result), files),
        *_section(
            "What codecs do to scores", codec_table(result), "Mean change of the score against the clip before it was encoded."
        ),
        *_section("All responses", response_table(result), "Rank correlation / effect in sd; positive where the value rises."),
        *_section("Signatures", pd.DataFrame(), "\n".join(f"- {s}" for s in signatures)),
    ]
    return "\n\n".join(parts) + "\n"


def _section(title: str, table: pd.DataFrame, text: str = "") -> list[str]:
    body = [*([text] if text else []), *([] if table.empty else [markdown(table)])]
    return [f"## {title}", *body] if body else []


if __name__ == "__main__":
    launch(main)
