"""The pytest plugin: suites as items with the flag, nothing at all without it."""

import json
import shutil
import textwrap
from xml.etree import ElementTree as ET

import cv2  # noqa: F401  (pytester forgets what is first imported inside a session; these cannot be loaded twice)
import filelock  # noqa: F401
import pytest

import sora_eval.metrics.temporal  # noqa: F401
import sora_eval.pipeline.run
from sora_eval.gate import baseline
from sora_eval.runs.find import find_runs
from sora_eval.suite import load_suite

INERT = ("-p", "no:cacheprovider")
FLAGS = (*INERT, "--sora-eval", "--sora-generator")
GENERATOR = """
import pathlib
import numpy as np

def frames(request, amplitude):
    with open("calls.txt", "a") as file:
        file.write(request.prompt + "\\n")
    out = np.full((request.num_frames, request.height, request.width, 3), 100, np.uint8)
    out[::2] += amplitude
    return out

def good(request):
    return frames(request, 20)

def worse(request):
    return frames(request, 60)

def unsure(request):
    return frames(request, int(np.random.default_rng(request.seed).integers(2, 39)))
"""
SUITE = """
[suite]
id = "tiny"
[prompts]
file = "prompts.jsonl"
[axes]
shapes = ["16x16"]
frames = [3]
[metrics.temporal_flickering]
[gates.temporal_flickering]
max_decrease = 1.0
window = [0.9, 0.95]
"""
SPEED = """
[throughput]
prompt = "prompt 0"
shapes = ["16x16x3", "16x16x5"]
repeats = 2
[gates.latency]
max_increase = 50.0
"""


@pytest.fixture
def tiny(pytester, monkeypatch):
    """A suite of one metric and one gate with a limit and a window, and a baseline of the generator `good`."""
    for name in ("CI", "PYTEST_XDIST_WORKER"):
        monkeypatch.delenv(name, raising=False)
    folder = pytester.mkdir("suites")
    (folder / "tiny.toml").write_text(SUITE)
    (folder / "prompts.jsonl").write_text("".join(json.dumps({"id": f"p{i}", "text": f"prompt {i}"}) + "\n" for i in range(8)))
    pytester.makepyfile(mine=GENERATOR)
    pytester.makeini("[pytest]\n")
    return pytester


def promoted(tiny):
    run = sora_eval.pipeline.run.run(load_suite("suites/tiny.toml"), "python:mine:good", "first")
    baseline.promote([run])
    (tiny.path / "calls.txt").unlink()
    __import__("sys").modules.pop("mine")


def gated(tiny, generator, *more):
    return tiny.runpytest_inprocess("suites", *FLAGS, f"python:mine:{generator}", "--sora-baseline", "baselines", "-rs", *more)


def properties(path):
    return {
        case.attrib["name"]: {p.attrib["name"]: p.attrib["value"] for p in case.iter("property")}
        for case in ET.parse(path).getroot().iter("testcase")
    }


def test_gates_are_items_with_properties_and_leave_verdicts(tiny):
    promoted(tiny)
    result = gated(tiny, "good", "--junit-xml=out.xml", "-v")
    result.assert_outcomes(passed=5)
    result.stdout.fnmatch_lines(
        ["*suites/tiny.toml::gate:temporal_flickering PASSED*", "*gate:temporal_flickering:window PASSED*"]
    )
    found = properties("out.xml")["gate:temporal_flickering"]
    assert found["verdict"] == "PASS"
    assert found["value"] == found["base"] == "0.921569"
    assert float(found["change"]) == 0
    assert found["p"] == "1"
    assert found["n"] == "8"
    assert found["interval"] == "0 .. 0"
    assert properties("out.xml")["temporal_flickering"]["temporal_flickering"].startswith("0.921569")
    (run,) = find_runs(tiny.path / "runs")
    assert json.loads((run.path / "verdicts.json").read_text())["verdict"] == "PASS"


def test_a_regression_fails_in_one_line(tiny):
    promoted(tiny)
    result = gated(tiny, "worse", "--junit-xml=out.xml")
    result.assert_outcomes(passed=3, failed=2)
    result.stdout.fnmatch_lines(
        [
            "temporal_flickering: REGRESSED: 0.9216 -> 0.7647 (-17 %): past the limit of -1 %; p = *",
            "*outside the window; p = *",
        ]
    )
    result.stdout.no_fnmatch_line("*items.py*")
    root = ET.parse("out.xml").getroot()
    assert [c.find("failure") is not None for c in root.iter("testcase")] == [False, False, True, True, False]
    assert properties("out.xml")["gate:temporal_flickering"]["verdict"] == "REGRESSED"


@pytest.mark.parametrize(
    ("more", "ci", "kind"),
    [
        ((), "", "skipped"),
        (("--sora-strict",), "", "failed"),
        ((), "true", "failed"),
        (("--sora-no-strict",), "true", "skipped"),
    ],
)
def test_what_is_undecided_is_never_green(tiny, monkeypatch, more, ci, kind):
    promoted(tiny)
    monkeypatch.setenv("CI", ci)
    result = gated(tiny, "unsure", *more, "-k", "gate and not window")
    result.assert_outcomes(**{kind: 1}, passed=1, deselected=3)
    result.stdout.fnmatch_lines(["*temporal_flickering: INCONCLUSIVE: 0.9216 -> 0.9078 (-1.49 %): past the limit, but p = *"])


@pytest.mark.parametrize(("strict", "kind"), [("--sora-no-strict", "skipped"), ("--sora-strict", "failed")])
def test_no_baseline_yet_is_undecided(tiny, strict, kind):
    tiny.mkdir("baselines")
    result = gated(tiny, "good", strict)
    result.assert_outcomes(passed=2, **{kind: 3})
    result.stdout.fnmatch_lines(["*temporal_flickering: NO_BASELINE: no baseline was given*"])


def test_a_baseline_that_cannot_be_read_and_a_partial_run_fail(tiny):
    promoted(tiny)
    gone = tiny.runpytest_inprocess("suites", *FLAGS, "python:mine:good", "--sora-baseline", "gone.json")
    gone.assert_outcomes(passed=2, failed=3)
    gone.stdout.fnmatch_lines(["gone.json does not exist; make it with *"])
    partial = gated(tiny, "good", "--sora-limit", "4")
    partial.assert_outcomes(passed=3, failed=2)
    partial.stdout.fnmatch_lines(["temporal_flickering: ERROR: *the run is partial*"])


def test_a_bug_is_a_traceback_once_and_the_run_is_not_tried_again(tiny, monkeypatch):
    def broken(*_, **__):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(sora_eval.pipeline.run, "run", broken)
    result = tiny.runpytest_inprocess("suites", *FLAGS, "python:mine:good")
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*ZeroDivisionError: a bug", "the run failed with ZeroDivisionError: a bug; the first item *"])


def test_update_promotes_the_first_run_and_green_ones_only(tiny, monkeypatch):
    monkeypatch.setenv("CI", "true")
    path = tiny.path / "baselines/tiny.json"
    first = gated(tiny, "good", "--sora-update")
    first.assert_outcomes(passed=2, skipped=3)
    first.stdout.fnmatch_lines(["promoted: baselines/tiny.json"])
    before = path.read_bytes()
    red = gated(tiny, "worse", "--sora-update")
    red.assert_outcomes(passed=3, failed=2)
    red.stdout.fnmatch_lines(["* is not promoted: the session is not green"])
    unclear = gated(tiny, "unsure", "--sora-update", "--sora-no-strict", "-k", "not window")
    assert unclear.ret == 0
    unclear.stdout.fnmatch_lines(["* is not promoted: temporal_flickering: INCONCLUSIVE: *"])
    assert path.read_bytes() == before
    gated(tiny, "good", "--sora-update").assert_outcomes(passed=5)
    assert baseline.read(path).run_id != json.loads(before)["head"]["run"]


def test_update_refuses_a_dirty_tree_and_a_run_as_baseline(tiny):
    tiny.run("git", "init", "-q")
    tiny.run("git", "-c", "user.name=x", "-c", "user.email=x@x", "commit", "-q", "--allow-empty", "-m", "x")
    dirty = gated(tiny, "good", "--sora-update")
    dirty.stdout.fnmatch_lines(["* cannot be promoted: it was made from a dirty tree*"])
    assert not (tiny.path / "baselines").exists()
    (run,) = find_runs(tiny.path / "runs")
    again = tiny.runpytest_inprocess("suites", *FLAGS, "python:mine:good", "--sora-update", "--sora-baseline", str(run.path))
    again.stdout.fnmatch_lines(["* is not promoted: * is a run; name a file or a folder*"])


def test_two_workers_make_one_run_and_one_promotion(tiny):
    promoted(tiny)
    result = tiny.runpytest_subprocess(
        "suites", *FLAGS, "python:mine:good", "--sora-baseline", "baselines", "--sora-update", "-n", "2", "--dist", "each"
    )
    result.assert_outcomes(passed=10)
    assert len(find_runs(tiny.path / "runs")) == 1
    assert len((tiny.path / "calls.txt").read_text().splitlines()) == 8
    assert str(result.stdout).count("promoted: baselines/tiny.json") == 1


def test_fixtures_give_suites_runs_and_an_assertion(tiny):
    promoted(tiny)
    tiny.makepyfile(
        test_mine="""
        import pytest

        def test_suite(sora_suite):
            assert len(sora_suite("suites/tiny.toml").cases) == 8

        def test_runs_are_made_once_for_the_same_arguments(sora_run):
            run = sora_run("suites/tiny.toml", generator="python:mine:good")
            assert run.path == sora_run("suites/tiny.toml", generator="python:mine:good").path
            assert run.path != sora_run("suites/tiny.toml", generator="python:mine:good", limit=2).path

        def test_green(sora_run, assert_no_regression):
            result = assert_no_regression(sora_run("suites/tiny.toml", generator="python:mine:good"), "baselines/tiny.json")
            assert result.verdict == "PASS"

        def test_red(sora_run, assert_no_regression):
            base = sora_run("suites/tiny.toml", generator="python:mine:good")
            with pytest.raises(AssertionError, match="temporal_flickering: REGRESSED: 0.9216 -> 0.7647"):
                assert_no_regression(sora_run("suites/tiny.toml", generator="python:mine:worse"), base)

        def test_open(sora_run, assert_no_regression):
            run = sora_run("suites/tiny.toml", generator="python:mine:unsure")
            with pytest.raises(AssertionError, match="temporal_flickering: INCONCLUSIVE"):
                assert_no_regression(run, "baselines", strict=True)
            with pytest.warns(UserWarning, match="temporal_flickering: INCONCLUSIVE"):
                assert_no_regression(run, "baselines", strict=False)

        def test_no_baseline_is_said(sora_run, assert_no_regression):
            with pytest.raises(pytest.UsageError, match="no baseline"):
                assert_no_regression(sora_run("suites/tiny.toml", generator="python:mine:good"))
        """
    )
    tiny.runpytest_inprocess(*INERT, "test_mine.py").assert_outcomes(passed=6)
    assert len(find_runs(tiny.path / "runs")) == 4


def with_speed(tiny):
    suite = tiny.path / "suites/tiny.toml"
    head, gates = SUITE.split("[gates.temporal_flickering]")
    suite.write_text(head + SPEED + "[gates.temporal_flickering]" + gates)
    return tiny


def test_shapes_of_a_sweep_are_benchmarks(tiny):
    args = ("suites", *FLAGS, "python:mine:good", "-k", "throughput:", "--benchmark-json=out.json")
    with_speed(tiny).runpytest_inprocess(*args).assert_outcomes(passed=2, deselected=3)
    found = json.loads((tiny.path / "out.json").read_text())["benchmarks"]
    assert [b["fullname"] for b in found] == [f"suites/tiny.toml::throughput:16x16x{t}" for t in (3, 5)]
    assert [b["stats"]["rounds"] for b in found] == [2, 2]
    assert found[0]["extra_info"] == {"shape": "16x16x3", "generator": "python:mine:good", "tokens": None, "stages": {}}
    (tiny.path / "calls.txt").unlink()
    tiny.runpytest_inprocess(*args[:-1], "--benchmark-disable").assert_outcomes(passed=2, deselected=3)
    assert len((tiny.path / "calls.txt").read_text().splitlines()) == 2


def test_without_pytest_benchmark_shapes_are_skipped_and_a_bad_generator_fails_them(tiny):
    off = with_speed(tiny).runpytest_inprocess(
        "suites", *FLAGS, "python:mine:good", "-k", "throughput:", "-p", "no:benchmark", "-rs"
    )
    off.assert_outcomes(skipped=2, deselected=3)
    off.stdout.fnmatch_lines(["*pytest-benchmark is not installed*"])
    bad = tiny.runpytest_inprocess("suites", *FLAGS, "magic", "-k", "throughput:")
    bad.assert_outcomes(failed=2, deselected=3)
    bad.stdout.fnmatch_lines(["generator 'magic' is not known*"])


def test_a_gate_on_speed_has_a_row_a_shape(tiny):
    promoted(with_speed(tiny))
    result = gated(tiny, "good", "-k", "gate and latency", "--junit-xml=out.xml", "-v")
    result.assert_outcomes(skipped=1, deselected=8)
    result.stdout.fnmatch_lines(["*latency*16x16x3*: NOT_COMPARABLE: *two jobs*latency*16x16x5*"])
    assert properties("out.xml")["gate:latency"]["16x16x5.verdict"] == "NOT_COMPARABLE"


# A suite of all kinds of metrics


@pytest.fixture
def project(pytester, workspace, monkeypatch):
    monkeypatch.chdir(pytester.path)
    suites = pytester.path / "suites"
    suites.mkdir()
    for name in ("small.toml", "prompts.jsonl"):
        shutil.copy(workspace / name, suites / name)
    shutil.copy(workspace / "my_generator.py", pytester.path / "my_generator.py")
    pytester.makeini("[pytest]\n")
    return pytester


def test_a_suite_runs_as_items_with_properties(project):
    result = project.runpytest_inprocess(
        "suites/small.toml", *FLAGS, "python:my_generator:generate", "-v", "--junit-xml=out.xml"
    )
    result.assert_outcomes(passed=6)
    result.stdout.fnmatch_lines(
        [
            "*suites/small.toml::generation PASSED*",
            "*suites/small.toml::temporal_flickering PASSED*",
            "*suites/small.toml::throughput PASSED*",
            "*suites/small.toml::throughput:32x32x5 PASSED*",
        ]
    )
    xml = (project.path / "out.xml").read_text()
    assert 'property name="temporal_flickering" value="0.' in xml
    assert 'property name="physics_laws.permanence" value="1 share"' in xml


def test_failures_are_one_line(project):
    result = project.runpytest_inprocess("suites/small.toml", *FLAGS, "python:my_generator:broken")
    result.assert_outcomes(failed=6)
    result.stdout.fnmatch_lines(["*of 16 cases failed; *", "*temporal_flickering: * clips are missing from its 16 cases*"])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_an_unusable_generator_fails_every_item(project):
    result = project.runpytest_inprocess("suites/small.toml", *FLAGS, "magic")
    result.assert_outcomes(failed=6)
    result.stdout.fnmatch_lines(["*generator 'magic' is not known*"])


def test_a_broken_suite_fails_and_never_vanishes(project):
    (project.path / "suites/small.toml").write_text("[suite\n")
    result = project.runpytest_inprocess("suites", *FLAGS, "world")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*not valid TOML*"])
    assert result.ret != 0


def test_only_suites_are_claimed_elsewhere(project):
    (project.path / "other.toml").write_text("[tool]\nx = 1\n")
    (project.path / "broken.toml").write_text("[x\n")
    result = project.runpytest_inprocess("--collect-only", "-q", *FLAGS, "world")
    result.stdout.fnmatch_lines(["*small.toml::generation*"])
    result.stdout.no_fnmatch_line("*other.toml*")


def test_without_the_flag_the_plugin_is_inert(project):
    project.makepyfile(
        test_x=textwrap.dedent(
            """
            import sys

            def test_nothing_was_loaded():
                assert "sora_eval.pytest_plugin" in sys.modules
                heavy = {"torch", "numpy", "pydantic", "filelock", "sora_eval.pipeline.run", "sora_eval.suite"}
                assert not heavy & set(sys.modules)
            """
        )
    )
    result = project.runpytest_subprocess(*INERT)
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*baselines*")
