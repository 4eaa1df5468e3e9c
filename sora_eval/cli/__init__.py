"""The command line: one verb per file, each thin over the package."""

from __future__ import annotations

import io
import os
import sys

import typer

from sora_eval.cli import (
    baseline,
    bench,
    calibrate,
    comment,
    compare,
    error_rates,
    export,
    frontier,
    gate,
    history,
    laws,
    listing,
    merge,
    plan,
    report,
    run,
    scale,
    schema,
    score,
    selfcheck,
    show,
    validate,
    vote,
    weights,
)
from sora_eval.util.errors import SoraEvalError, fault_of_machine
from sora_eval.util.visible import say

EXIT_USAGE, EXIT_INTERRUPTED = 2, 130
_AGAIN = "what it has made already is used by the same command again"
_REMEDY = {  # by verb
    "run": "go on with: sora-eval run --resume latest",
    "score": "score it again, with the same command: until then the run counts as unfinished",
    "bench": "start it again: timings of two sessions do not go together",
    **dict.fromkeys(("calibrate", "error-rates", "selfcheck"), _AGAIN),
}

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Evaluate, compare and report text-to-video generators.\n\nStart with: [bold]sora-eval run quick[/bold]",
    epilog="Exit codes: 0 done, 2 usage or input, 10 a gate found a regression, 11 a strict gate could not decide, "
    "12 the run is incomplete, 130 interrupted (resume it), 1 a bug.",
)
app.command(name="run", epilog=run.EXAMPLES)(run.run)
app.command(name="bench", epilog=bench.EXAMPLES)(bench.bench)
app.command(name="score", epilog=score.EXAMPLES)(score.score)
app.command(name="merge", epilog=merge.EXAMPLES)(merge.merge)
app.command(name="compare", epilog=compare.EXAMPLES)(compare.compare)
app.command(name="gate", epilog=gate.EXAMPLES)(gate.gate)
app.command(name="calibrate", epilog=calibrate.EXAMPLES)(calibrate.calibrate)
app.command(name="plan", epilog=plan.EXAMPLES)(plan.plan)
app.command(name="error-rates", epilog=error_rates.EXAMPLES)(error_rates.error_rates)
app.command(name="frontier", epilog=frontier.EXAMPLES)(frontier.frontier)
app.command(name="laws", epilog=laws.EXAMPLES)(laws.laws)
app.command(name="scale", epilog=scale.EXAMPLES)(scale.scale)
app.command(name="selfcheck", epilog=selfcheck.EXAMPLES)(selfcheck.selfcheck)
app.command(name="show", epilog=show.EXAMPLES)(show.show)
app.command(name="vote", epilog=vote.EXAMPLES)(vote.vote)
app.command(name="agreement", epilog=vote.EXAMPLES)(vote.agreement)
app.command(name="report", epilog=report.EXAMPLES)(report.report)
app.command(name="export", epilog=export.EXAMPLES)(export.export)
app.command(name="comment", epilog=comment.EXAMPLES)(comment.comment)
app.command(name="history", epilog=history.EXAMPLES)(history.history)
app.command(name="list", epilog=listing.EXAMPLES)(listing.listing)
app.command(name="schema", epilog=schema.EXAMPLES)(schema.schema)
app.command(name="validate", epilog=validate.EXAMPLES)(validate.validate)
app.add_typer(baseline.app, name="baseline")
app.add_typer(weights.app, name="weights")


def main() -> None:
    """Entry point of `sora-eval`. Errors that a user can fix are one message and exit code 2; a traceback is a bug."""
    # An unreachable hub fails at once, not after minutes of retries.
    os.environ.setdefault("HF_HUB_DOWNLOAD_TIMEOUT", "10")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that knows fewer characters shows the escapes of others
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except (SoraEvalError, OSError, MemoryError, ImportError) as error:
        if not (message := str(error) if isinstance(error, SoraEvalError) else fault_of_machine(error)):
            raise
        for line in message.strip("\n").split("\n"):
            say(f"error: {line}", err=True)
        sys.exit(EXIT_USAGE)
    except KeyboardInterrupt:  # while the command line is still read
        sys.exit(EXIT_INTERRUPTED)
    except SystemExit as end:
        if end.code == EXIT_INTERRUPTED:  # what typer makes of Ctrl-C
            say(f"interrupted; {_REMEDY.get(next(iter(sys.argv[1:]), ''), 'start it again')}", err=True)
        raise
