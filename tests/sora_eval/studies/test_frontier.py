"""The frontier: each generator's gain in speed beside the share of a limit that it uses up, from runs and benches."""

import pytest

from sora_eval.compare.run_data import data_of
from sora_eval.records.verdict import Verdict
from sora_eval.studies.frontier import Point, frontier
from sora_eval.suite import Gate
from sora_eval.util.errors import RunError
from tests.commands import WIDTH, held_to_width, sora_eval
from tests.runs import make_run, values

GATES = {"m": Gate(max_decrease=10.0)}
BENCH = {"bench": {"session": "s", "matrix_peak_flops": None}}


def generator(name):
    return {"generator": {"spec": name, "name": name, "checkpoint": "", "fingerprint": name}}


def bench(path, name, seconds, session=BENCH):
    repeats = {shape: [s + 0.001 * i for i in range(12)] for shape, s in seconds.items()}
    return make_run(path / f"bench-{name}", {"x": values(0)}, seconds=repeats, **generator(name), **session)


@pytest.fixture
def made(tmp_path):
    """A baseline, a faster generator that is as good, and a still faster one that is worse."""
    losses = {"base": 0.0, "fast": 0.05, "faster": 3.0}
    runs = {
        n: make_run(tmp_path / n, {"m": values(0) - loss + 0.001 * values(9)}, gates=GATES, **generator(n))
        for n, loss in losses.items()
    }
    seconds = {"base": (2.0, 1.0), "fast": (1.0, 0.8), "faster": (0.5, 0.25)}
    benches = {n: bench(tmp_path, n, dict(zip(("32x32x9", "40x24x9"), s, strict=True))) for n, s in seconds.items()}
    return runs, benches


def test_each_generator_has_its_least_gain_and_its_worst_row(made):
    runs, benches = made
    points = frontier(data_of(runs["base"]), [runs["faster"], runs["fast"]], [*benches.values()])
    assert [p.label for p in points] == ["fast", "faster"]
    fast, faster = points
    assert fast.gain[1] == pytest.approx(100 * (1 - 0.8055 / 1.0055), abs=0.5)  # at 40x24x9; at 32x32x9 it is 50
    assert fast.gain[0] <= fast.gain[1] <= fast.gain[2]
    assert (fast.verdict, fast.row) == (Verdict.PASS, "m")
    assert 0 < fast.used < 1
    assert (faster.verdict, faster.used > 1) == (Verdict.REGRESSED, True)
    assert not fast.beaten_by(faster)


def test_what_is_slower_and_worse_is_beaten():
    points = [Point("a", Verdict.PASS, (g, g, g), used, "m") for g, used in ((10.0, 0.2), (5.0, 0.3), (20.0, 0.9), (10.0, 0.2))]
    assert [any(p.beaten_by(o) for o in points) for p in points] == [False, True, False, False]


def test_what_does_not_belong_together_is_one_message(made, tmp_path):
    runs, benches = made
    base = data_of(runs["base"])
    with pytest.raises(RunError, match=r"no bench is of fast .*; benches: base, faster"):
        frontier(base, [runs["fast"]], [benches["base"], benches["faster"]])
    other = bench(tmp_path / "other", "fast", {"32x32x9": 1.0, "40x24x9": 1.0}, {"bench": {**BENCH["bench"], "session": "t"}})
    with pytest.raises(RunError, match=r"cannot be compared: two jobs, not interleaved"):
        frontier(base, [runs["fast"]], [benches["base"], other])
    with pytest.raises(RunError, match="'fvd' is no metric of speed"):
        frontier(base, [runs["fast"]], [*benches.values()], "fvd")


def test_the_command_prints_and_draws_it(made, tmp_path, monkeypatch):
    runs, benches = made
    options = [word for b in benches.values() for word in ("--bench", str(b.path))]
    picture = tmp_path / "frontier.png"
    monkeypatch.chdir(tmp_path)
    arguments = [str(runs["fast"].path), "--baseline", str(runs["base"].path), *options, "--out", "frontier.png"]
    found = sora_eval("frontier", *arguments, SORA_EVAL_COLUMNS=str(WIDTH))
    held_to_width(found)
    assert "speed against quality" in found.stdout
    assert picture.read_bytes().startswith(b"\x89PNG")
    empty = sora_eval("frontier", str(runs["fast"].path), "--baseline", str(tmp_path), *options)
    assert empty.returncode == 2
    assert "holds no baseline of 'made'" in empty.stderr
