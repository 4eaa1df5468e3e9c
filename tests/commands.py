"""Command lines run in the process of the tests: what a shell would see, without another start of Python and torch."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from unittest import mock

from rich.cells import cell_len

from sora_eval.cli import main

CI_VARIABLES = ("CI", "GITHUB_STEP_SUMMARY")
WIDTH = 80  # columns that everything said must fit


def sora_eval(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """`sora-eval ARGUMENTS` through its entry point, with `environment` added and without the variables of a CI around it.

    A bug raises here instead of ending as a traceback and exit code 1.
    """
    argv = ["sora-eval", *map(str, arguments)]
    out, err = io.StringIO(), io.StringIO()
    returncode = 0
    with mock.patch.dict(os.environ), mock.patch.object(sys, "argv", argv), redirect_stdout(out), redirect_stderr(err):
        for name in CI_VARIABLES:
            os.environ.pop(name, None)
        os.environ.update(environment)
        try:
            main()
        except SystemExit as end:
            returncode = int(end.code or 0)
    return subprocess.CompletedProcess(argv, returncode, out.getvalue(), err.getvalue())


def held_to_width(done: subprocess.CompletedProcess[str], code: int = 0) -> str:
    """What a command printed, of which no line is wider than WIDTH."""
    assert done.returncode == code, done.stderr
    lines = (done.stdout + done.stderr).splitlines()
    assert lines
    wide = [line for line in lines if cell_len(line) > WIDTH]
    assert not wide, wide[:3]
    return done.stdout
