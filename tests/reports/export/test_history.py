"""The history as a picture and as a table."""

from sora_eval.studies.history import history, read_runs
from sora_eval_reports.export.history import terminal_table
from tests.commands import sora_eval
from tests.runs import drawn_run


def test_the_verb_draws_and_prints(tmp_path):
    root, picture = tmp_path / "runs", tmp_path / "h.png"
    for i in range(3):
        drawn_run(root, f"early-{i}", steps=500, seed_offset=i * 100_003, clips=False)
    drawn_run(root, "late", checkpoint="late", steps=2000, shift=8.0, seed=5, clips=False)
    drawn_run(root, "without", metrics={"fvd": ("1", False)}, steps=3000, seed=10, clips=False)
    table = terminal_table(history(read_runs(root)[0], "clip_score", "steps"))
    assert table["noise"].tolist() == ["within noise"] * 3 + ["better", "not in this run"]
    assert table["value"].tolist()[-1] == table["to baseline"].tolist()[-1] == "-"
    done = sora_eval("history", root, "-m", "clip_score", "--png", picture)
    assert done.returncode == 0, done.stderr
    assert "within noise" in done.stdout
    assert picture.read_bytes()[:4] == b"\x89PNG"
    (root / "nothing").mkdir()
    assert "holds no runs" in sora_eval("history", root / "nothing").stderr
