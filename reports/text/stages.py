"""Where the time of scoring went, as a table."""

from __future__ import annotations

import pandas as pd

from sora_eval.util.stages import ALL, NEEDED, OTHER, Stages
from sora_eval_reports.text.console import console
from sora_eval_reports.text.tables import terminal

COLUMNS = ("decode", "hash", "resize", "network", "flow", "tracks", OTHER)


def stage_table(stages: Stages, *, processor: bool = False) -> pd.DataFrame:
    """Seconds by stage (columns) of each metric (rows), what all metrics need first and the sum last; as strings.

    By the clock, or of the `processor`. What is before and after the clips, such as opening networks, is not in it.
    """
    names = sorted({metric for metric, _ in stages.seconds if metric}, key=lambda name: name != ALL)
    rows = []
    for name in names:
        own = {column: stages.of(name, column, processor=processor) for column in COLUMNS}
        rows.append({"metric": name, **own, "sum": sum(own.values())})
    table = pd.DataFrame(rows, columns=["metric", *COLUMNS, "sum"])
    table.loc[len(table)] = ["sum", *table.drop(columns="metric").sum()]
    shown = table.drop(columns="metric").map(lambda value: f"{value:.2f}")
    shown.insert(0, "metric", table["metric"])
    return shown


def stage_words(stages: Stages) -> list[str]:
    """What the table sums up to, a line each."""
    clock, processor = (
        {c: sum(stages.of(m, c, processor=p) for m, own in stages.seconds if m and own == c) for c in COLUMNS}
        for p in (False, True)
    )
    whole = [sum(each.values()) for each in (clock, processor)]
    rest = [100 * (1 - sum(each[c] for c in NEEDED) / max(sum(each.values()), 1e-9)) for each in (clock, processor)]
    around = sum(stages.of(m, c) for m, c in stages.seconds if not m)
    return [
        f"clips: {whole[0]:.1f} s by the clock, {whole[1]:.1f} s of processor time; neither network, flow nor tracks: "
        f"{rest[0]:.1f} % and {rest[1]:.1f} %",
        f"before and after the clips (imports, opening networks, summary): {around:.1f} s by the clock",
    ]


def print_stages(stages: Stages) -> None:
    """Print the seconds by the clock, and what they sum up to."""
    out = console()
    out.print(terminal(stage_table(stages), "seconds by stage; a stage that metrics share is with the first that asked"), "")
    for line in stage_words(stages):
        out.print(line, soft_wrap=True)
