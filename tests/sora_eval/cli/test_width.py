"""No row, note or message of a verb needs more than 80 columns, unless --wide; no number is cut, and notes take five lines."""

from __future__ import annotations

import re

import numpy as np
import pytest
from rich.cells import cell_len

from sora_eval.cli import app
from sora_eval.registry.metrics import METRICS as BUILT_IN
from sora_eval.runs.rows import MetricRow
from sora_eval.suite import Gate
from sora_eval.util.terminal import Terminal, wide_tables
from sora_eval_reports.text.console import MOST_NOTES, console, notes
from sora_eval_reports.text.fitted import Fitted
from tests.commands import WIDTH, held_to_width, sora_eval
from tests.runs import METRICS, drawn_run, edit, make_run, values

LONG = {**METRICS, "object_facts.velocity_error": ("px/frame", False), "subject_consistency": ("1", True)}
LIMITS = {m: Gate(max_decrease=5.0, min_change=0.001) for m in ("clip_score", "physics_laws.permanence", "object_facts.count")}

GATES = """
[gates.temporal_flickering]
max_decrease = 2.0
"""


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """A ladder of three, named as checkpoints are, and a pair that a gate judges; the folder `runs` is the current one's."""
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "runs"
    names = ("early", "middle", "a-checkpoint-with-a-long-name")
    for i, name in enumerate(names):
        run = drawn_run(root, f"2026010{i}-120000-aaaaa{i}", checkpoint=name, steps=1000 * i, shift=i, seed=i, metrics=LONG)
        edit(run, MetricRow, lambda r: {**r, "reason": f"{r['metric']}: {'why this is so ' * 12}"})
    for name, shift in (("base", 0.0), ("new", -1.5)):
        scores = {m: values(i, 10.0, 0.5) + shift * (i == 0) for i, m in enumerate(LIMITS)}
        make_run(root / f"judged-{name}", scores, gates=LIMITS)
    return sorted(f"runs/{p.name}" for p in root.iterdir())


@pytest.mark.parametrize(
    "arguments",
    [
        ["show", 0],
        ["show", 0, "--notes"],
        ["show", 0, 1],
        ["show", 0, 1, "--notes"],
        ["compare", 0, 1, 2],
        ["compare", 0, 1, "--slices"],
        ["compare", 0, 1, 2, "--ladder"],
        ["history", "runs", "-m", "clip_score"],
        ["list"],
        ["list", "runs"],
        ["comment", 0],
        ["report", 0, 1],
        ["export", 0, "--to", "csv"],
        ["validate", "gate"],
    ],
    ids=lambda arguments: " ".join(map(str, arguments)),
)
def test_verbs_on_runs(runs, arguments):
    ladder = [r for r in runs if "judged" not in r]
    held_to_width(sora_eval(*(ladder[a] if isinstance(a, int) else a for a in arguments), SORA_EVAL_COLUMNS=str(WIDTH)))


def test_gates(runs):
    base, new = (r for r in runs if "judged" in r)
    for run, baseline, code in ((new, base, 10), (base, base, 0), (new, "baselines", 11)):
        out = held_to_width(sora_eval("gate", run, "--baseline", baseline, "--strict", SORA_EVAL_COLUMNS=str(WIDTH)), code)
        assert out.splitlines()[0].split(":")[0] in ("REGRESSED", "PASS", "NO BASELINE", "INCONCLUSIVE")
    held_to_width(sora_eval("show", new, SORA_EVAL_COLUMNS=str(WIDTH)))


@pytest.mark.parametrize(
    "arguments",
    [
        ["show", "nowhere"],
        ["run", "no-such-suite-of-this-name"],
        ["run", "quick", "-g", "no_such_generator:with-a-long-argument"],
        ["compare", "nowhere", "elsewhere"],
        ["selfcheck", "--metrics", "no_such_metric", "--corruptions", "no_such_corruption"],
    ],
)
def test_messages(runs, arguments):
    held_to_width(sora_eval(*arguments, SORA_EVAL_COLUMNS=str(WIDTH)), 2)


@pytest.mark.parametrize("verb", ["", *sorted(c.name for c in app.registered_commands)])
def test_help(verb):
    held_to_width(sora_eval(*filter(None, [verb]), "--help", SORA_EVAL_COLUMNS=str(WIDTH)))


def test_a_run_a_score_and_a_benchmark(workspace):
    generator = ("-g", "python:my_generator:generate")
    held_to_width(sora_eval("run", "small.toml", *generator, "--limit", "4", SORA_EVAL_COLUMNS=str(WIDTH)))
    held_to_width(sora_eval("score", "latest", SORA_EVAL_COLUMNS=str(WIDTH)))
    held_to_width(sora_eval("bench", "small.toml", *generator, SORA_EVAL_COLUMNS=str(WIDTH)))


def test_what_is_known_before_a_gate(workspace):
    """Studies of a suite's gate: repeats are made once, limits, sizes and errors come from them."""
    (workspace / "small.toml").write_text((workspace / "small.toml").read_text() + GATES)
    generator = ("-g", "python:my_generator:generate")

    def said(*arguments, code=0):
        return held_to_width(sora_eval(*arguments, SORA_EVAL_COLUMNS=str(WIDTH)), code)

    said("calibrate", "small.toml", *generator, "--repeats", "3", "--baseline-seeds", "2", "--seeds", "1", "--draws", "20")
    runs = sorted(f"runs/{p.name}" for p in (workspace / "runs").iterdir() if p.name[0] == "2")
    said("calibrate", "--drift", runs[0], runs[0], code=2)
    said("plan", "small.toml", *generator, "--pool", "runs", "--baseline-seeds", "2")
    worse = ("--against", "python:my_generator:noisy", "--others", "1")
    few = ("--repeats", "3", "--draws", "10", "--power", "10", "--seeds", "2", "1", "--workers", "1")
    said("error-rates", "small.toml", *generator, *worse, *few, "--pool", "runs")
    said("baseline", "promote", *runs[:2])
    said("baseline", "show", "baselines/small.json")
    said("baseline", "show", "baselines", code=2)
    said("vote", *runs[:2], code=2)


def test_shards(workspace):
    generator = ("-g", "python:my_generator:generate")
    for shard in ("1/2", "2/2"):
        held_to_width(
            sora_eval("run", "small.toml", *generator, "--shard", shard, "-o", "shards", SORA_EVAL_COLUMNS=str(WIDTH))
        )
    shards = sorted(f"shards/{p.name}" for p in (workspace / "shards").iterdir() if p.name[0] == "2")
    held_to_width(sora_eval("merge", shards[0], SORA_EVAL_COLUMNS=str(WIDTH)), 2)
    held_to_width(sora_eval("merge", *shards, SORA_EVAL_COLUMNS=str(WIDTH)))


def test_laws_and_the_scale_of_a_suite(workspace):
    held_to_width(
        sora_eval("laws", "quick", "--limit", "4", "-g", "reference:early", "-g", "reference", SORA_EVAL_COLUMNS=str(WIDTH))
    )
    held_to_width(sora_eval("scale", "small.toml", SORA_EVAL_COLUMNS=str(WIDTH)))


def test_a_selfcheck(workspace):
    arguments = ["--n", "3", "--metrics", "temporal_flickering,warping_error", "--corruptions", "flicker,freeze"]
    done = sora_eval("selfcheck", *arguments, SORA_EVAL_COLUMNS=str(WIDTH))
    held_to_width(done, done.returncode)
    assert "3 clips under 17 treatments each, 2 metrics" in " ".join(done.stderr.split())


def test_wide_shows_every_column_in_one_row(runs):
    done = sora_eval("compare", runs[0], runs[1], "--wide", SORA_EVAL_COLUMNS=str(WIDTH))
    heading = next(line for line in done.stdout.splitlines() if line.startswith("metric"))
    assert {"change", "95 % of change", "p", "n", "better"} <= set(re.split(r"\s{2,}", heading))
    assert max(map(cell_len, done.stdout.splitlines())) > WIDTH


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_no_number_is_cut(width, capsys):
    numbers = [f"{v:.4g}" for v in np.random.default_rng(0).lognormal(0, 6, 60)]
    names = list(BUILT_IN.built_in)[:12]
    table = {"metric": names, **{f"run {i}": numbers[5 * i : 5 * i + 5] * 2 + numbers[:2] for i in range(12)}}
    Terminal(width=width).print(Fitted(table, "numbers"))
    out = capsys.readouterr().out
    assert max(map(cell_len, out.splitlines())) <= width
    shown = set(out.split())
    assert {v for column in table.values() for v in column} <= shown


def test_a_long_text_goes_on_and_is_whole(capsys):
    text = "a reason of many words " * 10
    Terminal(width=60).print(Fitted({"metric": ["fvd"], "why": [text]}, "t"))
    assert " ".join(capsys.readouterr().out.split()[3:]) == f"fvd {text}".strip()


@pytest.mark.parametrize("count", [1, 5, 6, 40])
def test_notes_take_five_lines_and_say_where_the_others_are(count, capsys, monkeypatch):
    monkeypatch.setenv("SORA_EVAL_COLUMNS", str(WIDTH))
    texts = [f"note {i} " + "that is long " * (10 if count > 5 else 1) for i in range(count)]
    notes(console(), texts, "", "sora-eval show RUN --notes")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == min(count, MOST_NOTES)
    assert (lines[-1] == f"{count - 4} more notes: sora-eval show RUN --notes") == (count > 5)
    notes(console(), texts, "")
    out = capsys.readouterr().out
    assert all(f"note {i} " in out for i in range(count))


def test_a_wide_table_needs_no_terminal():
    with wide_tables():
        assert console().width > 10 * WIDTH
    assert console().width <= 120
