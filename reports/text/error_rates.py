"""The table of error rates: in the terminal, and between the markers of a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from reports.text.tables import markdown
from sora_eval.records.verdict import Verdict
from sora_eval.studies.error_rates import SIGNIFICANT, WHOLE, Rates
from sora_eval.util.errors import RunError

BEGIN, END = "<!-- error-rates -->", "<!-- /error-rates -->"
SEEN = 0.8  # a metric sees a degradation that it calls REGRESSED in this share of the draws


def table(rates: Sequence[Rates], outcome: str = Verdict.REGRESSED) -> pd.DataFrame:
    """One row an arm: the share of its draws in which each gated row, and the whole gate, had an outcome; per cent."""
    rows = []
    for r in rates:
        names = [n for n in r.counts if n != WHOLE or outcome != SIGNIFICANT]
        rows.append({"new run": r.arm, "draws": r.draws, **{n: _share(r, n, outcome) for n in names}})
    return pd.DataFrame(rows)


def _share(rates: Rates, row: str, outcome: str) -> str:
    share, low, high = (100 * v for v in rates.rate(row, outcome))
    return f"{share:.1f} % ({low:.1f} .. {high:.1f})"


def sees(rates: Sequence[Rates]) -> list[str]:
    """For every row of the gate, which arms it calls REGRESSED in most draws."""
    out = []
    for name in dict.fromkeys(n for r in rates for n in r.counts):
        found = [r.arm for r in rates if name in r.counts and r.rate(name)[0] >= SEEN]
        out.append(f"{name}: {', '.join(found) or 'none of these'}")
    return out


def page_block(rates: Sequence[Rates], command: str, pool: str) -> str:
    """What stands between the markers: rates of REGRESSED, of significance and of the other verdicts of the gate."""
    verdicts = {v: table(rates, v) for v in (Verdict.PASS, Verdict.IMPROVED, Verdict.INCONCLUSIVE)}
    whole = pd.DataFrame(
        [{"new run": r.arm, **{str(v): t[WHOLE][i] for v, t in verdicts.items()}} for i, r in enumerate(rates)]
    )
    return "\n".join(
        [
            f"Written by `{command}`. {pool}",
            "",
            "A virtual run answers each prompt with the clips of one run of the pool, chosen at random; the first row is A/A",
            "(both runs of one checkpoint, no clip in both), the others are that checkpoint against another generator. Draws",
            "share clips, so the intervals (95 %, Clopper-Pearson) are of the draws, not of new pools.",
            "",
            "Share of the draws that are REGRESSED:",
            "",
            markdown(table(rates)),
            "",
            f"{SEEN:.0%} of the draws or more are REGRESSED, metric by metric:",
            "",
            *(f"- {line}" for line in sees(rates)),
            "",
            "Share of the draws whose own test gives p <= 0.05, before limit, least change and Holm's correction. In the first",
            "row it is the level of the test, which should be 5 % or less; in the others what the test alone could find:",
            "",
            markdown(table(rates, SIGNIFICANT)),
            "",
            "What else the whole gate said:",
            "",
            markdown(whole),
        ]
    )


def write_between(page: Path, text: str) -> None:
    """Put text between the markers of a page; the rest of it stays. Raises RunError without them."""
    try:
        before, rest = page.read_text().split(BEGIN)
        after = rest.split(END)[1]
        page.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")
    except (ValueError, IndexError):
        raise RunError(f"{page} lacks the markers {BEGIN} and {END}, between which the table goes") from None
    except OSError as error:
        raise RunError(f"{page}: {error.strerror}") from error
