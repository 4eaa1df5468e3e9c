"""`--set` edits the tables of a suite before they are checked: as strictly as if the file said so."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sora_eval.pipeline.run import rescore, run
from sora_eval.runs.folder import RunFolder, stored_suite
from sora_eval.runs.rows import MetricRow
from sora_eval.suite import load_suite
from sora_eval.suite.changes import parsed_change
from sora_eval.util.errors import SuiteError
from tests.commands import sora_eval

FRAMES = "metrics.clip_score.frames=3"


def test_a_changed_suite_is_the_suite_of_a_file_that_says_so(workspace):
    text = (workspace / "small.toml").read_text()
    edited = text.replace("frames = [9]", "frames = [9, 13]\nfps = 4.0").replace("clip_score]", "clip_score]\nframes = 3")
    (workspace / "edited.toml").write_text(edited + "\n[gates.'physics_laws.permanence']\nmax_decrease = 2.5")
    (workspace / "gated.toml").write_text(text + "\n[gates.'physics_laws.permanence']\nmax_decrease = 1.0")
    gate = "gates.physics_laws.permanence.max_decrease=2.5"
    changed = load_suite("gated.toml", ["axes.frames=[9, 13]", "axes.fps=4.0", FRAMES, gate])
    assert changed.fingerprint == load_suite("edited.toml").fingerprint != load_suite("gated.toml").fingerprint
    assert changed.gates == load_suite("edited.toml").gates


def test_a_table_is_made_where_there_is_none_and_the_last_of_two_holds(workspace):
    suite = load_suite("small.toml", ["canonical.fps=8.0", "metrics.fvd={}", "prompts.limit=2", "prompts.limit=1"])
    assert suite.canonical is not None
    assert suite.canonical.fps == 8.0
    assert "fvd" in suite.metrics
    assert len(suite.prompt_list) == 1
    assert suite.changes == ("canonical.fps=8.0", "metrics.fvd={}", "prompts.limit=1")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("axes.frame=[9]", r"small\.toml with --set axes\.frame=\[9\]: \[axes\]\.frame is not known; did you mean 'frames'"),
        ("axes.fps=fast", r"with --set axes\.fps=fast: \[axes\]\.fps = 'fast'; expected a valid number"),
        ("axes={}", r"with --set axes=\{\}: \[axes\]\.shapes is missing"),
        ("axis.fps=8.0", r"\[axis\] is not known; did you mean 'axes'"),
        ("metrics.clip_scor.frames=3", r"the suite has no \[metrics\.clip_scor\]; did you mean 'clip_score'"),
        ("metrics.fvd.protocol=original", r"the suite has no \[metrics\.fvd\]; known: temporal_flickering"),
        ("metrics.clip_score.modle=x", r"\[metrics\.clip_score\]\.modle is not an option; did you mean 'model'"),
        ("metrics.clip_score.frames=3.5", r"frames = 3\.5 is float; expected int"),
        ("axes.frames.first=9", r"axes\.frames = \[9\] is no table"),
        ("metrics.clip_scor={}", r"with --set .*metric 'clip_scor' is not known; did you mean 'clip_score'"),
        ("gates.clip_score.max_decrease=2", r"the suite has no \[gates\.clip_score\]; known: none"),
        ("metrics.clip_score", r"expected KEY=VALUE, for example"),
        ("=3", r"expected KEY=VALUE"),
        ("a b=3", r"expected KEY=VALUE"),
        ("a=3\nb=4", r"\[a\] is not known"),
    ],
)
def test_what_the_suite_does_not_know_is_refused(workspace, change, message):
    with pytest.raises(SuiteError, match=message):
        load_suite("small.toml", [change])


@given(st.text(), st.text(st.characters(codec="utf-8")))
def test_any_text_is_a_change_or_one_message(key, value):
    try:
        change = parsed_change(f"{key}={value}")
    except SuiteError:
        return
    assert change.keys


@pytest.mark.parametrize("value", ["x", "a,b", "ViT-B-32:openai", "1979-05-27", "07:32:00", "c:\\clips", "a=b", ""])
def test_a_value_that_is_none_of_toml_is_a_text(value):
    assert parsed_change(f"metrics.m.key={value}").value == value


def test_a_run_records_its_changes_and_is_compared_with_its_like_only(workspace):
    plain = run(load_suite("small.toml"), "world", "runs", limit=2)
    assert sora_eval("run", "small.toml", "-g", "world", "--limit", 2, "--set", FRAMES).returncode == 0
    (changed,) = (RunFolder.open(p) for p in (workspace / "runs").iterdir() if p.name != plain.path.name)
    assert changed.head.changes == stored_suite(changed).changes == (FRAMES,)
    assert stored_suite(changed).metrics["clip_score"] == {"frames": 3}
    signatures = {row.metric: row.signature for row in changed.rows(MetricRow)}
    assert "frames:3-even" in signatures["clip_score"]
    compared = sora_eval("compare", plain.path, changed.path)
    assert f"(with {FRAMES})" in " ".join(compared.stdout.split())
    assert sora_eval("run", "--resume", changed.path, "--set", FRAMES).returncode == 2


def test_a_run_is_scored_again_by_another_network(workspace):
    made = run(load_suite("small.toml"), "world", "runs", limit=2)
    asked = run(load_suite("small.toml", [FRAMES]), "world", "runs", limit=2)
    again = rescore(made, changes=[FRAMES])
    assert again.head.suite == asked.head.suite
    assert again.head.changes == (FRAMES,)
    assert [r.model_dump() for r in again.rows(MetricRow)] == [
        r.model_dump() for r in asked.rows(MetricRow) if r.family != "speed"
    ] + [r.model_dump() for r in again.rows(MetricRow) if r.family == "speed"]
    assert rescore(again).head.suite == asked.head.suite
    with pytest.raises(SuiteError, match="scored again by other"):
        rescore(again, changes=["axes.fps=4.0"])
    with pytest.raises(SuiteError, match="did you mean 'frames'"):
        rescore(again, changes=["metrics.clip_score.frame=3"])
    assert again.head.status == "success"


def test_a_kill_between_suite_and_head_is_healed(workspace, monkeypatch):
    made = run(load_suite("small.toml"), "world", "runs", limit=2)
    whole = RunFolder.update_head

    def killed(self, **changes):
        if "suite" in changes:
            raise KeyboardInterrupt
        whole(self, **changes)

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "update_head", killed)
        with pytest.raises(KeyboardInterrupt):
            rescore(made, changes=[FRAMES])
    again = rescore(RunFolder.open(made.path))
    assert again.head.suite.fingerprint == stored_suite(again).fingerprint == load_suite("small.toml", [FRAMES]).fingerprint


def test_a_secret_of_a_change_is_not_recorded(workspace):
    (workspace / "judging.py").write_text(
        "from sora_eval.metrics.base import ClipMetric, Output, Score\n"
        "class Judge(ClipMetric):\n"
        "    outputs = (Output('judge', '1', True, '1'),)\n"
        "    def __init__(self, api_key: str = ''):\n"
        "        super().__init__()\n"
        "        self.signature = 'judge|1'\n"
        "    def score(self, view):\n"
        "        return {'judge': Score(1.0)}\n"
    )
    changes = ['metrics."judging:Judge"={}', 'metrics."judging:Judge".api_key=hush']
    arguments = [part for change in changes for part in ("--set", change)]
    assert sora_eval("run", "small.toml", "-g", "world", "--limit", 1, *arguments).returncode == 0
    (folder,) = (workspace / "runs").iterdir()
    for file in ("run.json", "suite.json"):
        assert "hush" not in (folder / file).read_text()
    assert json.loads((folder / "run.json").read_text())["changes"][1] == 'metrics."judging:Judge".api_key=REDACTED'


@pytest.mark.parametrize("verb", ["plan", "calibrate"])
def test_what_writes_into_the_file_takes_no_changes(workspace, verb):
    done = sora_eval(verb, "small.toml", "--write", "--set", FRAMES)
    assert done.returncode == 2
    assert "--write writes into the suite file" in done.stderr


@pytest.mark.parametrize("verb", ["run", "validate", "plan", "bench", "calibrate", "error-rates"])
def test_every_verb_of_a_suite_takes_changes(workspace, verb):
    done = sora_eval(verb, "small.toml", "--set", "axes.frame=[9]")
    assert done.returncode == 2
    assert "did you mean 'frames'" in done.stderr
