"""`sora-eval vote` and `sora-eval agreement`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sora_eval.util.visible import say

EXAMPLES = (
    "Example: sora-eval vote runs/A runs/B --pairs 40 --out vote.html; send the page to the voters, collect the files that it "
    "saves, then sora-eval agreement votes-*.jsonl --runs runs/A --runs runs/B"
)


def vote(
    run_a: Annotated[Path, typer.Argument(help="A run folder.")],
    run_b: Annotated[Path, typer.Argument(help="Another run of the same suite and seeds.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The page.")] = Path("vote.html"),
    pairs: Annotated[int, typer.Option(min=1, help="At most so many pairs, prompts in turn.")] = 40,
    seed: Annotated[int, typer.Option(help="Of the choice of pairs.")] = 0,
    side: Annotated[
        int, typer.Option(min=16, max=1024, help="Longest side of a clip on the page, px; larger ones are scaled down.")
    ] = 480,
    trust: Annotated[bool, typer.Option("--trust", help="Show clips outside of the folders of runs that others made.")] = False,
) -> None:
    """Write one page that shows the clips of two runs in pairs, blind and in random order, and saves votes as JSON lines.

    It opens from disk without a network. Neither the page nor the votes name the runs.
    """
    from sora_eval.compare.run_data import data_of
    from sora_eval.runs.find import resolve_run
    from sora_eval.util.errors import VoteError
    from sora_eval.votes.ballot import ballot_of, drawn

    runs = [resolve_run(run, trust) for run in (run_a, run_b)]
    ballot = ballot_of(data_of(runs[0]), data_of(runs[1]))
    from sora_eval_reports.page.vote import render

    page, shown, unreadable = render(ballot.id, runs, drawn(ballot.pairs, pairs, seed), side, seed)
    for reason in [*(f"{n} cases left out: {why}" for why, n in ballot.left_out.items()), *unreadable]:
        say(f"warning: {reason}", err=True)
    if not shown:
        raise VoteError("no pair can be shown: no clip of the chosen pairs could be read")
    try:
        out.write_text(page, encoding="utf-8")
    except OSError as error:
        raise VoteError(f"the page cannot be written to {out}: {error.strerror}; choose another --out") from error
    say(f"{out}: {shown} of {len(ballot.pairs)} pairs, {len(page) / 1e6:.2g} MB")


def agreement(
    votes: Annotated[list[Path], typer.Argument(help="Files that the page saved.")],
    runs: Annotated[list[Path], typer.Option("--runs", "-r", help="A run that was voted on; give all, the base first.")],
) -> None:
    """How well does each metric agree with the votes, which run is stronger, and what do votes and metric say together?"""
    from sora_eval.compare.run_data import data_of
    from sora_eval.runs.find import resolve_run
    from sora_eval.util.errors import VoteError
    from sora_eval.votes.agreement import agreement as measure
    from sora_eval.votes.votes import read_votes

    if len(runs) < 2:
        raise VoteError(f"--runs was given {len(runs)} time; give it for every run that was voted on: --runs A --runs B")
    result = measure(read_votes(votes), [data_of(resolve_run(run)) for run in runs])
    from sora_eval_reports.text.agreement import print_agreement

    print_agreement(result)
