"""No secret reaches a run folder, a report or the console, and a run that needs one again says which."""

import json
import sys

import pytest

from sora_eval.runs.find import find_runs
from sora_eval.runs.rows import MetricRow, SampleRow
from sora_eval.util import redaction
from tests.commands import sora_eval
from tests.packages import install

KEY, WORD, PASSWORD = "sk-0123456789abcdef", "correct horse battery", "staple-of-words"
JUDGE, HUB = "a judge's own key", "no-shape-at-all-42"
SECRETS = (KEY, WORD, PASSWORD, JUDGE, HUB)
MODULE = '''
import os

import numpy as np

from sora_eval.generators.protocol import Generator
from sora_eval.metrics.base import ClipMetric, Output, Score
from sora_eval.records.clip import Clip


class Noise(Generator):
    name = "noise"

    def __init__(self, options):
        self.options = options
        self.checkpoint = options.get("url", "")

    def fingerprint(self):
        return "noise-" + self.options["api_key"]

    def generate(self, requests):
        clips = []
        for r in requests:
            if r.prompt == "b":
                raise ValueError(f"401 of {self.options} with {os.environ['HUB_TOKEN']}, Bearer {self.options['api_key']}")
            frames = np.random.default_rng(r.seed).integers(0, 256, (r.num_frames, r.height, r.width, 3), dtype=np.uint8)
            clips.append(Clip(frames, r.fps))
        return clips


def open_noise(argument, options):
    if options["api_key"] not in ("KEY", "WORD"):
        raise ValueError(f"{options['api_key']} is not valid")
    return Noise(options)


open_noise.options = ("api_key", "url", "steps")


class Judge(ClipMetric):
    """A metric with a key."""

    outputs = (Output("judge", "1", None, "any"),)
    signature = "judge"

    def __init__(self, api_key="", model="m"):
        super().__init__()
        assert api_key == "JUDGE", api_key
        self.signature += f"|{api_key}"

    def score(self, view):
        return {"judge": Score(1.0, detail={"headers": {"Authorization": "Bearer JUDGE"}, "api_key": "JUDGE"})}
'''
SUITE = f"""
[suite]
id = "s"
[prompts]
file = "p.jsonl"
[axes]
shapes = ["16x16"]
frames = [3]
[reference]
generator = "noise:real?api_key={WORD}"
[metrics.fvd]
network = "NETWORK"
[metrics."judges:Judge"]
api_key = "{JUDGE}"
[metrics.temporal_flickering]
"""
SPEC = f"noise:x?api_key={KEY}&url=https://me:{PASSWORD}@host/v1?sig=abc&steps=3"


@pytest.fixture
def place(tmp_path, monkeypatch, network):
    text = MODULE.replace("KEY", KEY).replace("WORD", WORD).replace("JUDGE", JUDGE)
    for name in ("noises", "judges"):
        monkeypatch.delitem(sys.modules, name, raising=False)
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    install(tmp_path, "noise-works-1.0", {"sora_eval.generators": {"noise": "noises:open_noise"}})
    (tmp_path / "s.toml").write_text(SUITE.replace("NETWORK", str(network)))
    (tmp_path / "p.jsonl").write_text("".join(json.dumps({"id": p, "text": p}) + "\n" for p in "abcd"))
    monkeypatch.setenv("HUB_TOKEN", HUB)
    monkeypatch.setattr(redaction, "_known", set())
    return tmp_path


def leaks(root):
    """(file, secret) of every secret in a folder, in whatever encoding numpy or a text has it."""
    for path in (p for p in root.rglob("*") if p.is_file()):
        data = path.read_bytes()
        for secret in SECRETS:
            if any(secret.encode(code) in data for code in ("utf-8", "utf-16-le", "utf-32-le")):
                yield path.relative_to(root), secret


def test_no_secret_is_in_a_run_its_reports_or_on_the_console(place, monkeypatch):
    done = sora_eval("run", "s.toml", "-g", SPEC, "--out", "runs")
    assert done.returncode == 12, done.stderr  # the prompt b
    (run,) = find_runs(place / "runs")
    assert list(leaks(run.path)) == []
    assert run.head.generator.spec == "noise:x?api_key=REDACTED&url=https://REDACTED@host/v1?sig=REDACTED&steps=3"
    assert f"-g {run.head.generator.spec}" in run.head.command
    (error,) = [r.error for r in run.rows(SampleRow) if r.status == "error"]
    assert error.startswith("ValueError: 401 of {'api_key': 'REDACTED'")
    assert error.endswith("with REDACTED, Bearer REDACTED")
    values = {r.metric: r.value for r in run.rows(MetricRow) if r.slice == "all"}
    assert values["judge"] == 1.0
    report = sora_eval("report", run.path, "--out", "reports")
    assert report.returncode == 0, report.stderr
    said = [done.stdout, done.stderr, report.stdout, report.stderr]
    assert [s for s in SECRETS for text in said if s in text] == []
    assert len(list((place / "reports").iterdir())) > 3
    assert list(leaks(place / "reports")) == []


@pytest.mark.parametrize("verb", [("run", "--resume"), ("score",)])
def test_a_run_that_needs_a_secret_again_says_which(place, monkeypatch, verb):
    assert sora_eval("run", "s.toml", "-g", SPEC).returncode == 12
    (run,) = find_runs(place / "runs")
    before = run.rows(MetricRow)
    monkeypatch.setattr(redaction, "_known", set())
    refused = sora_eval(*verb, run.path)
    assert refused.returncode == 2
    (line,) = refused.stderr.splitlines()
    assert "SORA_EVAL_API_KEY (its api_key)" in line
    assert "SORA_EVAL_URL (its url)" in line
    assert run.rows(MetricRow) == before
    assert list(leaks(run.path)) == []


def test_given_by_the_environment_a_run_goes_on(place, monkeypatch):
    text = (place / "s.toml").read_text()
    text = text[: text.index("[reference]")] + "[metrics.temporal_flickering]\n"
    (place / "s.toml").write_text(text)
    assert sora_eval("run", "s.toml", "-g", SPEC).returncode == 12
    (run,) = find_runs(place / "runs")
    before = run.rows(MetricRow)
    monkeypatch.setattr(redaction, "_known", set())
    environment = {"SORA_EVAL_API_KEY": KEY, "SORA_EVAL_URL": f"https://me:{PASSWORD}@host/v1?sig=abc"}
    for verb in (("run", "--resume"), ("score",)):
        done = sora_eval(*verb, run.path, **environment)
        assert done.returncode in (0, 12), done.stderr
    assert run.rows(MetricRow) == before
    assert list(leaks(run.path)) == []


def test_a_key_that_is_refused_is_not_repeated(place):
    for arguments in (
        ("run", "s.toml", "-g", "noise:x?api_key=sk-another0123456789"),
        ("run", "s.toml", "-g", "python:m:f?api_key=sk-another0123456789"),
        ("run", "s.toml", "-g", "nois:x?api_key=sk-another0123456789"),
    ):
        done = sora_eval(*arguments)
        assert done.returncode == 2
        assert "another" not in done.stderr + done.stdout
