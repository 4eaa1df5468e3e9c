"""What is wrong with a command line, a suite or a spec is said before torch, or anything like it, is loaded."""

import json
import os
import subprocess
import sys

import pytest

from sora_eval.generators.opening import open_generator, read_spec
from sora_eval.registry.generators import GENERATORS

HEAVY = {"torch", "torchmetrics", "onnxruntime", "open_clip", "transformers", "diffusers", "timm", "matplotlib", "altair"}
FRAMES = {"pandas", "scipy"}
# Command lines one after the other in a fresh process: of each its exit code, its messages, and what it is the first to load.
CODE = """
import io, json, sys
from contextlib import redirect_stderr, redirect_stdout
from sora_eval.cli import main
outcomes = []
for arguments in json.load(sys.stdin):
    before, out, code = set(sys.modules), io.StringIO(), 0
    sys.argv = ["sora-eval", *arguments]
    with redirect_stdout(out), redirect_stderr(out):
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
    outcomes.append([code, out.getvalue(), sorted(set(sys.modules) - before)])
json.dump(outcomes, sys.stdout)
"""

WORKS = [
    ("--help",),
    *((verb, "--help") for verb in ("run", "bench", "gate", "plan", "selfcheck", "error-rates", "history")),
    *(("list", what) for what in ("suites", "metrics", "generators", "formats", "weights", "runs")),
    ("list",),
    ("validate", "quick"),
    ("validate", "throughput"),
    ("validate", "physics_iq"),
    ("validate", "quick", "-g", "reference:early?steps=5"),
    ("validate", "quick", "-g", "vae"),
    ("validate", "quick", "-g", "world"),
]
WORDS = [  # refused by words alone: nothing is computed
    *((verb, "nothing") for verb in ("run", "bench", "calibrate", "plan", "error-rates", "validate")),
    ("run",),
    ("run", "metric.toml"),
    ("run", "option.toml"),
    ("run", "class.toml"),
    ("validate", "class.toml"),
    ("run", "shape.toml"),
    ("validate", "shape.toml"),
    ("run", "quick", "-g", "magic"),
    ("run", "quick", "-g", "world", "-g", "magic"),
    ("run", "quick", "-g", "reference?stpes=3"),
    ("run", "quick", "-g", "reference?steps=few"),
    ("run", "quick", "-g", "reference:lost"),
    ("run", "quick", "-g", "vae:lost"),
    ("run", "quick", "-g", "world:moon"),
    ("run", "quick", "--device", "gpu"),
    ("run", "quick", "-g", "world", "--generator-device", "mps"),
    ("run", "quick", "-g", "diffusers:x?dtype=half"),
    ("run", "quick", "-g", "http://host/v1/videos?route=fast"),
    ("run", "quick", "-g", "python:x:y?steps=3"),
    ("run", "quick", "--reference", "magic"),
    ("run", "quick", "-g", "world", "--engine", "ray", "--address", "nowhere"),
    ("run", "videos", "-g", "world"),
    ("run", "--resume", "gone"),
    ("run", "quick", "--limit", "3", "--until-decided"),
    ("run", "quick", "--strict"),
    ("score", "gone"),
    ("history", "--over", "moon"),
    ("weights", "fetch", "nothing"),
]
REFUSED = [
    ("bench", "world"),
    ("bench", "throughput", "-g", "magic"),
    ("bench", "throughput", "--against", "reference?stpes=3"),
    ("calibrate", "gate", "-g", "magic"),
    ("calibrate", "gate", "--run", "gone"),
    ("plan", "world"),
    ("plan", "gate", "-g", "magic"),
    ("error-rates", "world"),
    ("error-rates", "gate", "--against", "magic"),
    ("selfcheck", "--clips", "nothing"),
    ("selfcheck", "--metrics", "nothing"),
    ("selfcheck", "--metrics", "fvd?protocl=x"),
    ("selfcheck", "--corruptions", "nothing"),
    ("gate", "gone"),
    ("compare", "gone", "gone"),
    ("report", "gone"),
    ("history", "gone"),
    ("baseline", "show", "gone.json"),
    ("baseline", "promote", "gone"),
]
SUITE = """
[suite]
id = "bad"
[prompts]
file = "prompts.jsonl"
[axes]
shapes = ["32x32"]
frames = [9]
[metrics.clip_score]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("light")
    (root / "prompts.jsonl").write_text('{"id": "a", "text": "a red circle"}\n')
    (root / "metric.toml").write_text(SUITE.replace("clip_score", "clip_scor"))
    (root / "class.toml").write_text(SUITE.replace("clip_score", '"gone:Metric"'))
    (root / "option.toml").write_text(SUITE + "modl = 'world'\n")
    (root / "shape.toml").write_text(SUITE.replace("frames = [9]", "frames = [10]"))
    return root


def outcomes(folder, commands):
    """(arguments, exit code, messages, modules) of every command."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([os.getcwd(), os.environ.get("PYTHONPATH", "")])}
    command, lines = [sys.executable, "-c", CODE], json.dumps(commands)
    done = subprocess.run(command, input=lines, capture_output=True, text=True, check=False, cwd=folder, env=environment)
    assert done.returncode == 0, done.stderr
    return [(" ".join(c), *outcome) for c, outcome in zip(commands, json.loads(done.stdout), strict=True)]


@pytest.mark.parametrize(
    ("commands", "returncode", "heavy"),
    [(WORKS, 0, HEAVY | FRAMES), (WORDS, 2, HEAVY | FRAMES), (REFUSED, 2, HEAVY)],
    ids=["read", "refused-by-words", "refused"],
)
def test_no_network_is_loaded_for(folder, commands, returncode, heavy):
    for command, code, text, modules in outcomes(folder, commands):
        assert code == returncode, (command, text)
        assert not heavy & set(modules), command


def test_the_kinds_that_declare_their_shapes_and_options_are_as_they_say():
    for spec in ("reference", "world", "vae"):
        declared = read_spec(spec).info.capabilities
        assert declared == open_generator(spec).capabilities
    assert all(
        info.capabilities is None for kind, info in GENERATORS.built_in.items() if kind not in ("reference", "world", "vae")
    )
