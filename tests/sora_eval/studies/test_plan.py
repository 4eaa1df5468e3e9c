"""`sora-eval plan` makes the runs that it needs once, says what a gate will say, and writes a design with its provenance."""

import pytest
from typer.testing import CliRunner

from sora_eval.cli import app
from sora_eval.studies.plan import plan
from sora_eval.studies.planning import Design, Goal
from sora_eval.suite import load_suite
from sora_eval.suite.editing import write_design
from sora_eval.util.errors import SuiteError

GATES = """
# why
[gates.temporal_flickering] # keep me
max_decrease = 0.001

[gates.latency]
max_increase = 5
profile = "ci"
"""
NOISY = "python:my_generator:noisy"


@pytest.fixture
def gated(workspace):
    """A suite of one quick metric whose limit is far inside the noise."""
    path = workspace / "small.toml"
    text = path.read_text().replace("[metrics.clip_score]\n[metrics.physics_laws]\n", "")
    path.write_text(text + GATES)
    return load_suite(path)


def test_a_plan_says_what_each_row_does_and_writes_the_cheapest_design(gated, workspace):
    pool, options = workspace / "pool", {"seeds": (1, None), "goal": Goal(0.8, 0.8)}
    before = gated.path.read_text()
    result = plan(gated, NOISY, pool, **options)
    assert (result.repeats, result.present.design) == (2, Design(8, 1, 1, places=2))
    assert result.present.whole == result.present.passing["temporal_flickering"] < 0.2
    assert result.unplanned == {"latency": "speed has no seeds"}
    assert result.most == 8  # as many prompts as the file has
    runs = sorted(pool.iterdir())
    arguments = ("small.toml", "-g", NOISY, "--pool", "pool", "--baseline-seeds", "1", "--out", "plan.png")
    done = CliRunner().invoke(app, ["plan", *arguments])
    assert done.exit_code == 0, done.output
    assert "not planned: latency: speed has no seeds" in done.output
    assert "limits as they are: no design of at most 8 prompts" in done.output
    assert (workspace / "plan.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(SuiteError, match="nothing was written: no design meets the goal"):
        plan(gated, NOISY, pool, write=True, **options)
    assert gated.path.read_text() == before
    gated.path.write_text(before.replace("max_decrease = 0.001", "max_decrease = 60"))
    written = plan(load_suite(gated.path), NOISY, pool, write=True, **options)
    assert sorted(pool.iterdir()) == runs  # nothing is made twice
    after, text, design = load_suite(gated.path), gated.path.read_text(), written.as_is.design
    assert (len(after.axes.seeds), after.prompts.limit) == (design.seeds, design.prompts)
    assert f"limit = {design.prompts} # sora-eval plan small -g {NOISY} --repeats 2 --baseline-seeds 1 --pass 0.8" in text
    assert "# why\n[gates.temporal_flickering] # keep me\nmax_decrease = 60" in text


def test_a_second_checkpoint_measures_how_unlike_a_change_is(gated, workspace):
    result = plan(gated, NOISY, workspace / "pool", against="python:my_generator:generate", seeds=(1, 1))
    assert result.against
    assert result.model.rows[0].components.prompt_checkpoint > 0


def test_without_gates_there_is_nothing_to_plan(workspace):
    with pytest.raises(SuiteError, match=r"no \[gates.*'sora-eval calibrate' proposes limits"):
        plan(load_suite(workspace / "small.toml"), pool=workspace / "pool")
    assert not (workspace / "pool").exists()


def test_seeds_and_prompts_are_written_in_place(workspace):
    path = workspace / "small.toml"
    before = path.read_text()
    suite = load_suite(path)
    write_design(path, [0, 1, 2], 5, "a command; a date")
    after, text = load_suite(path), path.read_text()
    assert (after.axes.seeds, after.prompts.limit) == ([0, 1, 2], 5)
    assert text.count("# a command; a date") == 2
    assert after.metrics == suite.metrics
    write_design(path, [0, 1, 2], 5, "another command")
    assert path.read_text() == text != before  # what stays the same keeps its provenance
    with pytest.raises(SuiteError, match="cannot be written"):
        write_design(workspace / "gone.toml", [0], 1, "")
