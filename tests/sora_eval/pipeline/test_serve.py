"""`sora-eval bench --scenario serve` from the command line: a service with faults, a generator in this project, bad input."""

from pathlib import Path

import pytest

from sora_eval.runs.find import find_runs
from sora_eval.runs.rows import MetricRow, TimingRow
from tests.commands import sora_eval

TABLES = """
[prompts]
file = "p.jsonl"
[axes]
shapes = ["16x8", "8x8"]
frames = [4]
[metrics.temporal_flickering]
[metrics.mmd]
"""
GENERATOR = """
import numpy as np

def generate(request):
    rng = np.random.default_rng(request.seed)
    frames = np.zeros((request.num_frames, request.height, request.width, 3), np.uint8)
    frames[1::2] = 255 * int(rng.integers(2))  # a still clip, or one that flickers as much as any can
    return frames
"""


@pytest.fixture(autouse=True)
def workspace(tmp_path, monkeypatch):
    (tmp_path / "small.toml").write_text(f'[suite]\nid = "small"\n{TABLES}')
    (tmp_path / "p.jsonl").write_text("".join(f'{{"id": "p{i}", "text": "ball number {i}"}}\n' for i in range(3)))
    (tmp_path / "half_good.py").write_text(GENERATOR)
    monkeypatch.chdir(tmp_path)


def serve(*more, spec="python:half_good:generate"):
    return sora_eval("bench", "small.toml", "-g", spec, "-o", "runs", "--scenario", "serve", *more)


def test_a_served_run_has_rows_of_speed_that_reports_show():
    quality = ("--objective", 600, "--quality", "temporal_flickering>=0.9")
    done = serve("--rate", 500, "--requests", 20, "--repeats", 2, *quality)
    assert done.returncode == 0, done.stderr
    (run,) = find_runs(Path("runs"))
    rows = [r for r in run.rows(TimingRow) if r.served.arrival >= 0]
    assert {r.served.on_time for r in rows} == {True}
    assert {(r.served.scores["temporal_flickering"], r.served.good) for r in rows} == {(1.0, True), (0.0, False)}
    metrics = {r.metric: r for r in run.rows(MetricRow)}
    assert metrics["on_time"].value == 100.0
    assert 0 < metrics["goodput"].value < metrics["clips_per_second"].value
    assert metrics["goodput"].signature.startswith(
        f"{metrics['latency.p50'].signature}|objective:600|quality:temporal_flickering>=0.9 of temporal_flickering|"
    )
    assert run.head.bench["serve"]["rates"] == [500.0]
    assert run.head.status == "success"
    assert [p.name for p in Path("runs").iterdir()] == [run.name]
    assert "serve:500/s" in done.stdout
    assert "answered within 600 s and temporal_flickering>=0.9" in done.stdout
    assert "100 or more per repeat have one" in done.stdout
    report = sora_eval("report", run.path, "-o", "report")
    assert report.returncode == 0, report.stderr
    assert "goodput /s" in Path("report/report.md").read_text()
    page = Path("report/report.html").read_text()
    assert "Under load" in page
    assert "serve:500/s" in page


def test_a_service_that_fails_some_requests_and_hangs_in_one_gets_all_of_them():
    pytest.importorskip("httpx")
    pytest.importorskip("tenacity")
    from tests.sora_eval.generators.http.stub import Stub, answer

    with Stub() as stub:

        def hang(handler):
            """No answer before the others were sent, which never happens where one waits for it."""
            while len(stub.bodies()) < 4 + 20 and not stub.done.wait(0.02):
                pass
            handler.close_connection = True

        busy = answer({"detail": "busy"}, 500)
        stub.faults["POST /v1/videos"] = [None] * 4 + [busy, None, None, busy, hang]  # four are of the service time
        rates = ("--rate", 20, "--requests", 20, "--repeats", 1)
        done = serve(*rates, "--objective", 600, spec=f"{stub.url}?retries=0")
        asked = stub.bodies()
    assert done.returncode == 0, done.stderr
    (run,) = find_runs(Path("runs"))
    rows = run.rows(TimingRow)
    assert len(asked) == 4 + len(rows)
    reasons = [r.reason for r in rows if r.seconds is None]
    assert sum("500 Internal Server Error: busy" in reason for reason in reasons) == 2
    assert len(reasons) == 3
    assert all(r.served.on_time == (r.seconds is not None) for r in rows)
    assert len({body["seed"] for body in asked[4:]}) == len(rows)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--rate", 0], "0; expected a number above 0"),
        (["--rate", -1], "-1; expected a number above 0"),
        (["--rate", "nan"], "nan; expected a number above 0"),
        (["--rate", 2, "--rate", 2], "expected different values; 2.0 occurs twice"),
        (["--objective", 0], "0; expected a number above 0"),
        (["--requests", 1], "[serve].requests = 1; expected greater than or equal to 2"),
        (["--quality", "temporal_flickering>=0.9"], "quality is of goodput, which needs the latency that is promised"),
        (["--objective", 1, "--quality", "temporal_flicker>=0.9"], "did you mean 'temporal_flickering'?"),
        (["--objective", 1, "--quality", "mmd<=1"], "'mmd' is a value of a whole set, which no single clip has"),
        (["--objective", 1, "--quality", "fvd<=1"], "'fvd' is a value of a whole set, which no single clip has"),
        (["--objective", 1, "--quality", "clip_score>=1"], "add [metrics.clip_score], or --set metrics.clip_score={}"),
        (["--objective", 1, "--quality", "temporal_flickering"], "is no limit; expected METRIC>=VALUE"),
        (["--objective", 1, "--quality", "temporal_flickering<=0.9"], "is better where it is higher, expected >="),
        (["--set", "gates.goodput={max_decrease=5}"], "[gates.goodput] needs [serve].objective"),
    ],
)
def test_bad_input_is_one_message_and_leaves_no_run(more, message):
    done = serve(*(["--requests", 5] if "--set" in more else []), *more)
    assert done.returncode == 2
    text = " ".join(done.stderr.replace("│", " ").split())
    assert message in text
    assert "Traceback" not in done.stderr
    assert not Path("runs").exists()


def test_options_of_an_open_loop_need_its_scenario():
    done = sora_eval("bench", "small.toml", "--rate", 1)
    assert done.returncode == 2
    assert "add --scenario serve" in " ".join(done.stderr.replace("│", " ").split())


def test_who_answers_nothing_ends_with_its_reason():
    Path("down.py").write_text("def generate(request):\n    raise ValueError('it is down')\n")
    done = serve("--rate", 1, spec="python:down:generate")
    assert done.returncode == 2
    assert "python:down:generate answers no request, even without load: ValueError: it is down" in done.stderr
    assert not Path("runs").exists()
