"""The programs that write measured pages: each has its help, and what it writes names it and no folder of this machine."""

import importlib
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from docs.pages import checkpoints, error_rates, selfcheck
from docs.pages.program import between
from docs.pages.speed import Ratio
from sora_eval.compare.checkpoints import checkpoint_order, names_of
from sora_eval.compare.run_data import data_of
from sora_eval.selfcheck.check import selfcheck as check
from sora_eval.studies.error_rates import WHOLE, GateErrors, Rates
from sora_eval.util.errors import RunError
from tests.runs import make_run

PAGES = {
    "checkpoints": "ladder.md",
    "continuation": "continuation.md",
    "error_rates": "verdicts.md",
    "fidelity": "fidelity.md",
    "generators": "generators.md",
    "picture": "metrics.md",
    "installed_sizes": "installation.md",
    "reference_model": "reference_model.md",
    "scale": "scale.md",
    "scoring": "performance.md",
    "selfcheck": "selfcheck.md",
    "series": "ci.md",
    "speed": "performance.md",
}


@pytest.mark.parametrize(("name", "page"), PAGES.items())
def test_every_page_names_its_program_which_has_a_help(name, page):
    program = importlib.import_module(f"docs.pages.{name}")
    assert program.main.__doc__
    assert f"`python -m docs.pages.{name}`" in Path("docs", page).read_text()


def test_help_and_errors_come_from_the_root_of_the_repository(tmp_path):
    def run(*options):
        command = [sys.executable, "-m", "docs.pages.error_rates", *options]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert "docs/verdicts.md" in run("--help").stdout
    (tmp_path / "bare.md").write_text("no markers")
    refused = run("--page", str(tmp_path / "bare.md"))
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: the page lacks the markers")


def test_the_ladder_is_by_family(tmp_path):
    rng = np.random.default_rng(5)
    runs = []
    for level, name in enumerate(("early", "middle", "base")):
        scores = {m: level + 0.2 * rng.standard_normal(24) for m in ("clip_score", "temporal_flickering")}
        generator = {"spec": name, "name": "made", "checkpoint": name, "fingerprint": name}
        runs.append(data_of(make_run(tmp_path / name, scores, generator=generator)))
    text = checkpoints.page_text(checkpoint_order(runs), names_of(runs), "gate", 24)
    assert "Written by `python -m docs.pages.checkpoints`" in text
    assert text.index("## Text") < text.index("## Temporal")
    assert str(tmp_path) not in text


def test_the_selfcheck_page_has_its_picture(tmp_path):
    result = check("quick", ["temporal_flickering"], ["flicker", "reversal"], 4, out=tmp_path / "out")
    page = tmp_path / "docs" / "selfcheck.md"
    selfcheck.write(result, page)
    text = page.read_text()
    assert "Written by `python -m docs.pages.selfcheck` on 4 clips of the world (`quick`): **PASS**" in text
    assert "Documented blind spots" in text
    assert str(tmp_path) not in text
    assert (page.parent / "images" / "selfcheck.png").stat().st_size > 5000


def test_the_error_rates_go_between_the_markers_and_nowhere_else():
    rates = Rates("arm", 10, {"m": Counter({"REGRESSED": 10}), WHOLE: Counter({"REGRESSED": 10})})
    block = error_rates.page_block(GateErrors("gate", 64, "reference:base", (4, 2), 12, (rates,)))
    assert "from 12 seeds of reference:base, 64 clips each" in block
    assert "100.0 %" in block
    page = f"before\n<!-- {error_rates.MARK} -->\nold\n<!-- /{error_rates.MARK} -->\nafter\n"
    text = between(page, error_rates.MARK, block)
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    with pytest.raises(RunError, match="markers"):
        between("no markers", error_rates.MARK, block)


UNDECIDED = "undecided: the interval holds the target"


@pytest.mark.parametrize(
    ("low", "high", "at_least", "at_most"),
    [
        (1.5, 2.0, "met", "**missed**"),
        (0.5, 1.0, "**missed**", "met"),
        (1.0, 1.4, UNDECIDED, UNDECIDED),  # on either side of the target its value is undecided, not missed
        (1.1, 1.6, UNDECIDED, UNDECIDED),
        (None, 1.1, "**missed**", "met"),
        (1.3, None, "met", "**missed**"),
        (None, 1.3, UNDECIDED, UNDECIDED),
    ],
)
def test_a_ratio_is_met_or_missed_only_by_its_whole_interval(low, high, at_least, at_most):
    for value in (1.19, 1.21):
        ratio = Ratio("what", "base", "new", value, low, high, 11, 1.2)
        assert (ratio.verdict, replace(ratio, at_most=True).verdict) == (at_least, at_most)
