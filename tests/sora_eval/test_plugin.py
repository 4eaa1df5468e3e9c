"""The pytest plugin: suites as items with the flag, nothing at all without it."""

import shutil

import pytest


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


FLAGS = ("-p", "no:cacheprovider", "--sora-eval", "--sora-generator")


def test_a_suite_runs_as_items_with_properties(project):
    result = project.runpytest_subprocess(
        "suites/small.toml", *FLAGS, "python:my_generator:generate", "-v", "--junit-xml=out.xml"
    )
    result.assert_outcomes(passed=5)
    result.stdout.fnmatch_lines(
        [
            "*suites/small.toml::generation PASSED*",
            "*suites/small.toml::temporal_flickering PASSED*",
            "*suites/small.toml::throughput PASSED*",
        ]
    )
    xml = (project.path / "out.xml").read_text()
    assert 'property name="temporal_flickering" value="0.' in xml
    assert 'property name="physics_laws.permanence" value="1 share"' in xml


def test_failures_are_one_line(project):
    result = project.runpytest_subprocess("suites/small.toml", *FLAGS, "python:my_generator:broken")
    result.assert_outcomes(failed=5)
    result.stdout.fnmatch_lines(["*of 16 cases failed; *", "*temporal_flickering: * clips are missing from its 16 cases*"])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_an_unusable_generator_fails_every_item(project):
    result = project.runpytest_subprocess("suites/small.toml", *FLAGS, "magic")
    result.assert_outcomes(failed=5)
    result.stdout.fnmatch_lines(["*generator 'magic' is not known*"])


def test_a_broken_suite_fails_and_never_vanishes(project):
    (project.path / "suites/small.toml").write_text("[suite\n")
    result = project.runpytest_subprocess("suites", *FLAGS, "world")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*not valid TOML*"])
    assert result.ret != 0


def test_only_suites_are_claimed_elsewhere(project):
    (project.path / "other.toml").write_text("[tool]\nx = 1\n")
    (project.path / "broken.toml").write_text("[x\n")
    result = project.runpytest_subprocess("--collect-only", "-q", *FLAGS, "world")
    result.stdout.fnmatch_lines(["*small.toml::generation*"])
    result.stdout.no_fnmatch_line("*other.toml*")


def test_without_the_flag_the_plugin_is_inert(project):
    project.makepyfile(
        test_x="""
        import sys
        def test_nothing_was_loaded():
            assert "torch" not in sys.modules
            assert "sora_eval.evaluate" not in sys.modules
        """
    )
    project.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)
