"""`sora-eval scale`."""

from __future__ import annotations

from typing import Annotated

import typer

from sora_eval.cli.options import Device, SuiteChanges, Wide

EXAMPLES = "Examples: sora-eval scale my.toml; sora-eval scale quick --set metrics.clip_score.frames=16"


def scale(
    suite: Annotated[str, typer.Argument(help="A shipped name or a TOML file.")],
    device: Device = None,
    wide: Wide = False,
    set_: SuiteChanges = None,
) -> None:
    """Measure what trivial clips, perfect ones and oracles have in every metric of a suite, and keep it: the scale of its runs.

    Shipped suites of the world have theirs, which is printed. Any other is measured once: six kinds of clips are scored, about
    as long as scoring six runs of it; a word before says how long.
    """
    from sora_eval.suite import load_suite

    loaded = load_suite(suite, set_ or ())
    from sora_eval.pipeline.scale import scale_for
    from sora_eval_reports.text.scale import print_scale

    print_scale(scale_for(loaded))
