"""The commands of docs/votes.md run as they stand."""

import shlex
from pathlib import Path

from sora_eval.compare.run_data import data_of
from sora_eval.votes.ballot import ballot_of
from sora_eval.votes.votes import Vote
from tests.commands import sora_eval
from tests.conftest import ROOT
from tests.runs import drawn_run


def test_every_command_of_the_page_works(tmp_path, monkeypatch):
    page = (ROOT / "docs" / "votes.md").read_text(encoding="utf-8")
    commands = page.partition("```sh\n")[2].partition("```")[0].splitlines()
    made = zip("AB", ("early", "late"), strict=True)
    runs = [drawn_run(tmp_path / "runs", name, checkpoint=checkpoint) for name, checkpoint in made]
    ballot = ballot_of(*map(data_of, runs))
    for voter in ("ann", "bob"):
        facts = {"version": 1, "ballot": ballot.id, "voter": voter, "seconds": 2.0, "at": "2026-01-01T00:00:00Z"}
        lines = [
            Vote(
                case=p.case,
                left=p.clips[i % 2].sha256,
                right=p.clips[1 - i % 2].sha256,
                choice=("left", "right", "tie")[i % 3],
                **facts,
            )
            for i, p in enumerate(ballot.pairs)
        ]
        (tmp_path / f"votes-{voter}.jsonl").write_text("".join(v.model_dump_json() + "\n" for v in lines))
    monkeypatch.chdir(tmp_path)
    outputs = []
    for name, *arguments in map(shlex.split, commands):
        assert name == "sora-eval"
        done = sora_eval(*arguments)
        assert done.returncode == 0, done.stderr
        outputs.append(done.stdout)
    assert Path("vote.html").stat().st_size > 10_000
    assert "vote.html: 12 of 12 pairs" in outputs[0]
    assert "24 votes of 2 voters, 8 ties" in outputs[1]
