"""`pytest suites/gate.toml --sora-eval`: suites as test items, and fixtures for your own tests.

Does nothing without the flag. At load this package imports only the standard library and pytest.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from sora_eval.pytest_plugin.items import GateItem, SuiteFile
from sora_eval.pytest_plugin.session import SharedRuns, new_folder

SHARED = pytest.StashKey[SharedRuns]()
WORKER_KEY = "sora_eval_folder"  # of the folder in the input of xdist's workers


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("sora_eval", "text-to-video evaluation")
    add = group.addoption
    add("--sora-eval", action="store_true", help="collect suite files (*.toml) as tests: one item per metric, shape and gate")
    add("--sora-generator", default="reference", metavar="SPEC", help="what to test (default: %(default)s)")
    add("--sora-out", default="runs", metavar="DIR", help="where run folders go (default: %(default)s)")
    add("--sora-limit", type=int, metavar="N", help="only the first N cases; such a run cannot be gated")
    add("--sora-baseline", metavar="PATH", help="gate against a baseline file, a folder of them, or a run folder")
    add("--sora-profile", metavar="NAME", help="name of the hardware, for gates on speed")
    add("--sora-strict", action="store_true", default=None, help="fail what a gate cannot decide; the default where CI is set")
    add("--sora-no-strict", action="store_false", dest="sora_strict", help="skip it, with the reason, even where CI is set")
    add("--sora-update", action="store_true", help="after a green session, make its runs the baselines")
    parser.addini("sora_suites", "folders in which every .toml file is a suite", type="args", default=["suites"])
    parser.addini("sora_baseline", "what --sora-baseline is when it is left out")


def pytest_configure(config: pytest.Config) -> None:
    folder = getattr(config, "workerinput", {}).get(WORKER_KEY)
    config.stash[SHARED] = SharedRuns(config, Path(folder) if folder else new_folder())


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Give a worker of xdist the folder of runs that all workers share."""
    node.workerinput[WORKER_KEY] = str(node.config.stash[SHARED].folder)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.File | None:
    if file_path.suffix != ".toml" or not parent.config.getoption("--sora-eval"):
        return None
    folders = [parent.config.rootpath / f for f in parent.config.getini("sora_suites")]
    if file_path.parent in folders or _declares_suite(file_path):
        return SuiteFile.from_parent(parent, path=file_path, shared=parent.config.stash[SHARED])
    return None


def _declares_suite(path: Path) -> bool:
    from sora_eval.util.files import read_bounded

    try:
        return "suite" in tomllib.loads(read_bounded(path))
    except (OSError, ValueError):
        return False  # outside the suite folders a broken .toml is somebody else's


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    report = yield
    if isinstance(item, GateItem) and report.skipped:  # undecided: report the suite as the place, not this package
        report.longrepr = (str(item.path), 1, report.longrepr[2])
    return report


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if not hasattr(session.config, "workerinput"):  # only the controller knows how the whole session ended
        session.config.stash[SHARED].update(green=exitstatus == pytest.ExitCode.OK)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if lines := config.stash[SHARED].notes:
        terminalreporter.section("baselines")
        for line in lines:
            terminalreporter.line(line)


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput") and SHARED in config.stash:
        config.stash[SHARED].close()


@pytest.fixture(scope="session")
def sora_suite() -> Callable[[str], Any]:
    """`sora_suite("quick")`: a loaded suite, by shipped name or path."""
    from sora_eval.suite import load_suite

    return load_suite


@pytest.fixture(scope="session")
def sora_run(pytestconfig: pytest.Config) -> Callable[..., Any]:
    """`sora_run("quick", generator="reference:early", limit=4)`: a finished run.

    Run once per session for equal arguments, over all workers of xdist. Their defaults are the options of the command line.
    Returns a `RunFolder`; raises SoraEvalError for a suite that cannot be run.
    """
    from sora_eval.suite import load_suite

    shared = pytestconfig.stash[SHARED]

    def run(suite: Any, generator: str | None = None, limit: int | None = None) -> Any:
        loaded = load_suite(suite) if isinstance(suite, (str, Path)) else suite
        return shared.run(loaded, generator, limit)

    return run


@pytest.fixture(scope="session")
def assert_no_regression(pytestconfig: pytest.Config) -> Callable[..., Any]:
    """`assert_no_regression(run, baseline=None, strict=None)`: AssertionError with a line for each gate that is not green.

    `baseline` is a run or a value of --sora-baseline, by default that option. Undecided gates fail under `strict` only, else
    they are warnings. Returns the `GateResult`.
    """
    return pytestconfig.stash[SHARED].assert_no_regression
