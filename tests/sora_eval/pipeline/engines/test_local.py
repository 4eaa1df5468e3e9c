"""Processes: the rows of one process, whichever of them die or hang."""

import pytest

from sora_eval.pipeline import run as evaluate
from sora_eval.pipeline.engines.options import EngineOptions
from sora_eval.runs.rows import SampleRow, ScoreRow
from sora_eval.suite import load_suite
from tests.commands import sora_eval
from tests.equal_rows import assert_equal, rows_of


def run(generator, **options):
    return evaluate.run(load_suite("noise.toml"), generator, "engines", engine=EngineOptions("local", **options))


def test_processes_that_die_or_hang_change_no_row(whole, place):
    """One generator and one scorer are killed in the middle of a case, and one generator hangs in another."""
    (place / "kill-scorer").touch()
    assert_equal(rows_of(run("python:noise:dies_and_hangs_once", case_timeout=8.0)), rows_of(whole))
    for name in ("generator-died", "generator-hung", "scorer-died"):
        assert (place / name).exists()


def test_a_case_that_no_process_answers_is_an_error_row(whole):
    made = run("python:noise:fails", retries=0)
    errors = {row.id: row.error for row in made.rows(SampleRow) if row.status == "error"}
    killed = "a generator was ended by SIGKILL, most likely by the system for want of memory"
    assert {i: error for i, error in errors.items() if i.startswith("two")} == {
        f"two/16x16x5/{seed}": killed for seed in (0, 1)
    }
    scores = {row.id: row for row in made.rows(ScoreRow) if row.metric == "temporal_flickering"}
    assert {i for i, row in scores.items() if row.status == "error"} == set(errors)
    expected = {row.id: row.value for row in whole.rows(ScoreRow) if row.metric == "temporal_flickering"}
    assert {i: row.value for i, row in scores.items() if row.status == "ok"} == {
        i: value for i, value in expected.items() if i not in errors
    }
    assert made.head.failed_cases == len(errors)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--generators", 0], "--generators"),
        (["--engine", "local", "--scorers", 0], "--scorers"),
        (["--generators", 2], "--generators: of --engine local or --engine ray"),
        (["--gpus-per-generator", 1], "--gpus-per-generator: of --engine local or --engine ray"),
        (["--engine", "local", "--gpus-per-generator", 1], "--gpus-per-generator: of --engine ray"),
        (["--engine", "local", "--address", "auto"], "--address: of --engine ray"),
        (["--engine", "slurm"], "--engine slurm: no such engine; expected local or ray"),
        (["--engine", "local", "--workers", 2], "--workers does not go with --engine"),
        (["--engine", "local", "--until-decided"], "--until-decided does not go with --engine"),
        (["--engine", "local", "--case-timeout", 0], "--case-timeout 0: expected seconds, more than 0"),
        (["--engine", "ray", "--gpus-per-generator", 1.5], "--gpus-per-generator 1.5: expected a share of one GPU"),
    ],
)
def test_options_that_do_not_go_are_one_message(place, options, words):
    result = sora_eval("run", "noise.toml", "-g", "python:noise:clip", *options)
    assert result.returncode == 2
    assert words in " ".join(result.stderr.replace("│", "").split())
    assert not (place / "runs").exists()
