"""Command lines run in the process of the tests: what a shell would see, without another start of Python and torch."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from unittest import mock

from sora_eval.cli import main

CI_VARIABLES = ("CI", "GITHUB_STEP_SUMMARY")


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
