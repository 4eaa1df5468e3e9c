"""Writes `suites/scales.json`: the scales of the shipped suites whose clips the world renders. What the cache of this machine
has is taken from there."""

from __future__ import annotations

import json

from docs.pages.program import launch
from sora_eval.pipeline.scale import of_world, scale_for
from sora_eval.records.scale import Scale
from sora_eval.runs.scales import SHIPPED, key_of, to_json
from sora_eval.suite import load_suite
from sora_eval.suite.loading import shipped
from sora_eval.util.sealed import sealed


def main() -> None:
    """Measure them: six kinds of clips of every case are scored by every metric."""
    SHIPPED.unlink(missing_ok=True)
    suites = [suite for suite in map(load_suite, shipped()) if suite.metrics and of_world(suite)]
    suites.sort(key=lambda suite: len(suite.cases))
    scales: dict[str, Scale] = {}
    for suite in suites:
        scales[key_of(suite)] = scale_for(suite)
        SHIPPED.write_text(json.dumps(sealed(to_json(scales)), indent=1) + "\n", encoding="utf-8")
        print(f"{SHIPPED}: {suite.suite.id}")


if __name__ == "__main__":
    launch(main)
