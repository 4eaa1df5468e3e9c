"""Tokens and seconds of a training that was stopped and resumed."""

import json

from reference_model.training.log import tokens_until, train_seconds


def test_seconds_add_up_over_starts_and_tokens_over_steps(tmp_path):
    assert tokens_until(tmp_path, 100) == train_seconds(tmp_path) == 0
    rows = [(50, 10, 40.0), (100, 14, 70.0), (150, 12, 30.0), (200, 12, 60.0)]  # started again after step 100
    text = "".join(json.dumps({"step": s, "tokens": t, "seconds": x}) + "\n" for s, t, x in rows)
    (tmp_path / "dit.jsonl").write_text(text)
    assert train_seconds(tmp_path) == 70 + 60
    assert tokens_until(tmp_path, 100) == 1200
    assert tokens_until(tmp_path, 200) == 2400
    assert tokens_until(tmp_path, 20) == 200  # before the first row: at its rate
