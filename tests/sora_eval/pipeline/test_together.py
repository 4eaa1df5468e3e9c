"""How many clips a network is given at a time, and which threads compute beside it, changes no row."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from sora_eval.features import device
from sora_eval.features.i3d import VideoFeatures
from sora_eval.pipeline import score_clip
from sora_eval.pipeline.run import run
from sora_eval.records.clip import Clip
from sora_eval.suite import load_suite
from sora_eval.video.codec import write_clip
from tests.equal_rows import assert_equal, rows_of

SIZES = [(6, 40, 24), (6, 40, 24), (6, 24, 40), (2, 24, 24), (9, 40, 24), (6, 24, 40), (6, 24, 24)]  # T, H, W


@pytest.fixture
def suite(tmp_path, network, rng):
    """Seven clips of five sizes in a folder, and a suite of set metrics, flow and tracks on them."""
    for name, sizes in (("clips", SIZES), ("real", SIZES[:3] * 2)):
        (tmp_path / name).mkdir()
        for i, (frames, height, width) in enumerate(sizes):
            base = rng.integers(0, 256, (height + frames, width, 3), dtype=np.uint8)
            moving = np.stack([base[t : t + height] for t in range(frames)])
            write_clip(Clip(moving, 8.0), tmp_path / name / f"{i}.mkv")
    path = tmp_path / "s.toml"
    sets = "".join(f"[metrics.{m}]\nnetwork = {str(network)!r}\n" for m in ("fvd", "kvd"))
    cheap = "".join(f"[metrics.{m}]\n" for m in ("warping_error", "motion_smoothness", "dynamic_degree", "point_laws"))
    path.write_text(f'[suite]\nid = "s"\n[reference]\ngenerator = "folder:{tmp_path / "real"}"\n{sets}{cheap}')
    return load_suite(str(path))


@pytest.mark.parametrize("room", [1 << 30, 10_000])
@pytest.mark.parametrize(("clips", "threads"), [(1, 1), (3, 1), (16, 4)])
def test_rows_are_those_of_one_clip_at_a_time(suite, clips, threads, room, tmp_path, monkeypatch):
    monkeypatch.setenv("SORA_EVAL_CACHE", str(tmp_path / "one"))
    alone = run(suite, f"folder:{tmp_path / 'clips'}", tmp_path / "runs")
    monkeypatch.setitem(device.CLIPS, "cpu", clips)
    monkeypatch.setattr(score_clip, "ROOM", room)
    monkeypatch.setattr(score_clip, "THREADS", threads)
    monkeypatch.setenv("SORA_EVAL_CACHE", str(tmp_path / "other"))
    together = run(suite, f"folder:{tmp_path / 'clips'}", tmp_path / "runs")
    assert_equal(rows_of(alone), rows_of(together))
    for name in ("fvd", "reference-fvd"):
        assert_equal(*(r.load_features(name)["values"].tolist() for r in (alone, together)))


def test_where_memory_runs_out_half_as_many_clips_go_together_and_the_values_stay(network, monkeypatch, rng):
    extractor, batches = VideoFeatures(network=str(network)), []
    clips = [Clip(rng.integers(0, 256, (4, 16, 16, 3), dtype=np.uint8), 8.0) for _ in range(7)]
    own = VideoFeatures._run

    def small(self, videos):
        if len(videos) > 3:
            raise MemoryError
        batches.append(len(videos))
        return own(self, videos)

    monkeypatch.setattr(VideoFeatures, "_run", small)
    monkeypatch.setitem(device.CLIPS, "cpu", 6)
    with ThreadPoolExecutor(2) as threads:  # inputs are made in any thread
        values = extractor.of_prepared(list(threads.map(extractor.prepare, clips)))
    assert batches == [3, 3, 1]
    assert np.allclose(values, np.stack([extractor(clip) for clip in clips]), rtol=1e-6, atol=1e-7)
