"""Scoring holds one clip at a time, however many there are, and decodes each once."""

import tracemalloc
import weakref
from pathlib import Path

import numpy as np

from sora_eval.pipeline.score import score
from sora_eval.records.case import Case, Prompt
from sora_eval.records.clip import Clip
from sora_eval.runs.folder import RunFolder
from sora_eval.runs.rows import ScoreRow
from sora_eval.suite import Suite, SuiteHead
from tests.runs import head_of

FRAME_BYTES = 16 * 32 * 32 * 3


class Source:
    """Brings clips that it makes when they are read, and counts how many of them are alive."""

    name, checkpoint = "source", ""

    def __init__(self, number):
        self.number, self.alive, self.most, self.reads = number, set(), 0, []

    def cases(self):
        return [Case(Prompt(f"p{i}", "words"), None, None, None, None) for i in range(self.number)]

    def path(self, case):
        return Path(case.prompt.id)

    def read(self, case):
        self.reads.append(case.id)
        rng = np.random.default_rng(int(case.prompt.id[1:]))
        clip = Clip(rng.integers(0, 256, (16, 32, 32, 3), dtype=np.uint8), 8.0)
        self.alive.add(case.id)
        weakref.finalize(clip, self.alive.discard, case.id)
        self.most = max(self.most, len(self.alive))
        return clip


def peak_of(number, root):
    suite = Suite(suite=SuiteHead(id="flat"), metrics={"temporal_flickering": {}})
    folder, source = RunFolder.create(root, head_of(status="started"), suite.to_json()), Source(number)
    tracemalloc.start()
    score(folder, suite, source.cases(), source)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(folder.rows(ScoreRow)) == number
    assert source.reads == [c.id for c in source.cases()]
    assert source.most <= 2  # the one that is scored, and the one before it while the next is read
    return peak


def test_memory_is_flat_from_100_to_1000_clips(tmp_path, monkeypatch):
    monkeypatch.setattr("sora_eval.util.files.os.fsync", lambda _: None)
    peak_of(10, tmp_path)  # what is loaded once is loaded
    few, many = peak_of(100, tmp_path), peak_of(1000, tmp_path)
    # 900 more clips have 44 MB of frames; their rows in the plan are all that may stay.
    assert many - few < 0.1 * 900 * FRAME_BYTES
