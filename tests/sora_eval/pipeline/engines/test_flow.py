"""The flow of an engine by workers that are threads of this process: rows, order, transport and resuming."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from sora_eval.pipeline import run as evaluate
from sora_eval.pipeline.engines import local, worker
from sora_eval.pipeline.engines.options import EngineOptions
from sora_eval.pipeline.engines.worker import Holder
from sora_eval.pipeline.score import Scoring
from sora_eval.runs.folder import RunFolder
from sora_eval.runs.rows import SampleRow, ScoreRow
from sora_eval.suite import load_suite
from sora_eval.util.errors import GeneratorError, RunError
from tests.equal_rows import assert_equal, rows_of

# ast.parse of Python 3.11, which reads a generator's code, fails in two threads at once (gh-106905).
_opening = threading.Lock()


class ThreadWorker:
    def __init__(self, make_state, _setup):
        self._pool, self._holder = ThreadPoolExecutor(1), Holder()
        self.opening = self._pool.submit(self._open, make_state)

    def _open(self, make_state):
        with _opening:
            return self._holder.open(make_state, _NoSetup())

    def submit(self, function, job):
        return self._pool.submit(self._holder.call, function, job)

    def result(self, future):
        return future.result()

    def stop(self, *, now):
        self._pool.shutdown()


class _NoSetup:
    def apply(self):
        pass


@pytest.fixture
def threads(monkeypatch):
    monkeypatch.setattr(local, "LocalWorker", ThreadWorker)


def run(generator="python:noise:clip", **options):
    engine = EngineOptions("local", **{"generators": 2, "scorers": 2, **options})
    return evaluate.run(load_suite("noise.toml"), generator, "engines", engine=engine)


def assert_same(one, other):
    assert_equal(rows_of(one), rows_of(other))
    for name in ("colour_distance", "reference-colour_distance"):
        a, b = one.load_features(name), other.load_features(name)
        assert all((a[key] == b[key]).all() for key in b)


@pytest.mark.parametrize("shared", [True, False])
def test_an_engine_makes_the_rows_clips_and_vectors_of_one_process(whole, threads, monkeypatch, shared):
    """Also where workers do not see the run folder, and clips pass as bytes."""
    if not shared:
        monkeypatch.setattr(worker, "shares", lambda _path: False)
    run_by_engine = run()
    assert_same(run_by_engine, whole)
    clips = {path.name: path.read_bytes() for path in (whole.path / "clips").iterdir()}
    assert clips == {path.name: path.read_bytes() for path in (run_by_engine.path / "clips").iterdir()}
    assert len(clips) == 6
    head = run_by_engine.head
    assert (head.engine.name, head.engine.generators, head.engine.scorers) == ("local", 2, 2)
    assert (head.networks, whole.head.engine) == (whole.head.networks, None)


def test_clips_are_scored_before_the_last_one_is_generated(place, threads, monkeypatch):
    tables = []
    monkeypatch.setattr(
        RunFolder, "append", lambda self, rows, _append=RunFolder.append: tables.append(rows) or _append(self, rows)
    )
    run("python:noise:slow", generators=1, scorers=1)
    kinds = [type(rows[0]) for rows in tables if rows]
    assert kinds.index(ScoreRow) < len(kinds) - 1 - kinds[::-1].index(SampleRow)


def test_generating_pauses_while_clips_wait_for_a_scorer(place, threads, monkeypatch):
    def case(self, *arguments, _case=worker.ScorerState.case):
        time.sleep(0.3)
        return _case(self, *arguments)

    waiting, most = set(), []

    def append(self, rows, _append=RunFolder.append):
        for row in rows:
            (waiting.add if isinstance(row, SampleRow) else waiting.discard)(row.id)
        most.append(len(waiting))
        _append(self, rows)

    monkeypatch.setattr(worker.ScorerState, "case", case)
    monkeypatch.setattr(RunFolder, "append", append)
    run(generators=1, scorers=1)
    assert 2 <= max(most) <= 3  # two that wait, one that is scored


@pytest.mark.parametrize("last", [0, 2, 5])
def test_a_run_that_was_stopped_resumes_with_and_without_an_engine(whole, threads, monkeypatch, last):
    count = iter(range(99))

    def stop(self, case, result, _add=Scoring.add):
        if next(count) == last:
            raise KeyboardInterrupt
        _add(self, case, result)

    for engine in (None, EngineOptions("local", generators=1, scorers=2)):
        count = iter(range(99))
        with monkeypatch.context() as patch:
            patch.setattr(Scoring, "add", stop)
            with pytest.raises(KeyboardInterrupt):
                run()
        (path,) = (p for p in (whole.path.parent.parent / "engines").iterdir() if not (p / "seen").exists())
        folder = RunFolder.open(path)
        assert folder.head.status == "cancelled"
        assert len({row.id for row in folder.rows(ScoreRow)}) == last
        assert_same(evaluate.resume(folder, engine=engine), whole)
        (path / "seen").touch()


def test_an_engine_scores_clips_that_exist(whole, threads, place):
    lines = [{"path": row.clip.removeprefix("clips/"), "prompt": row.prompt} for row in whole.rows(SampleRow)]
    (whole.path / "clips" / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (place / "clips.toml").write_text('[suite]\nid = "clips"\n[metrics.temporal_flickering]\n')
    suite, spec = load_suite("clips.toml"), f"folder:{whole.path / 'clips'}"
    one = evaluate.run(suite, spec, "runs")
    assert_equal(rows_of(evaluate.run(suite, spec, "runs", engine=EngineOptions("local", scorers=2))), rows_of(one))
    assert len(rows_of(one)["samples"]) == 6


def test_a_worker_with_another_generator_is_refused(place, threads, monkeypatch):
    monkeypatch.setattr(worker, "identity_of", lambda *_: type("Other", (), {"fingerprint": "other"}))
    with pytest.raises(RunError, match="another generator by python:noise:clip: its fingerprint is other, that of the run"):
        run()


def test_a_fault_of_the_whole_run_stops_an_engine_too(place, threads):
    (place / "strict.py").write_text("def clip(request):\n    raise ValueError('no licence')\n")
    with pytest.raises(GeneratorError, match=r"the first 2 cases failed for one reason, and the other .*no licence"):
        evaluate.run(load_suite("noise.toml"), "python:strict:clip", "runs", give_up=2, engine=EngineOptions("local"))
