"""A view computes each value once, in a thread where that is asked for, and says the same about it."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from sora_eval.features import flow
from sora_eval.features.flow import MiddleFrames, PairMotion, PairWarping
from sora_eval.features.point_tracks import PointTracks
from sora_eval.features.view import ClipView, FeatureCache, compute_together
from sora_eval.metrics.create import create
from sora_eval.util.errors import Undefined
from tests.conftest import view_of


class Extractor:
    """Its value is the number of its calls; it notes the threads that call it."""

    signature, cached, beside_networks = "s", False, True

    def __init__(self, error=None):
        self.error, self.threads = error, []

    def __call__(self, clip):
        self.threads.append(threading.current_thread())
        if self.error is not None:
            raise self.error
        return np.array(len(self.threads))


@pytest.fixture
def threads():
    with ThreadPoolExecutor(2) as pool:
        yield pool


def test_a_value_that_was_begun_is_computed_once_elsewhere(threads, rng):
    extractor, view = Extractor(), view_of(rng.integers(0, 256, (2, 8, 8, 3), dtype=np.uint8))
    for _ in range(2):
        view.expect([extractor], threads)
        assert view.features(extractor) == 1
    assert extractor.threads != [threading.current_thread()]
    assert len(extractor.threads) == 1


@pytest.mark.parametrize("error", [Undefined("1 frame"), MemoryError("no room")])
def test_what_a_thread_raises_is_raised_where_the_value_is_asked_for(error, threads, rng):
    extractor, view = Extractor(error), view_of(rng.integers(0, 256, (2, 8, 8, 3), dtype=np.uint8))
    view.expect([extractor], threads)
    for _ in range(2):
        with pytest.raises(type(error), match=str(error)):
            view.features(extractor)
    assert len(extractor.threads) == 1


@pytest.mark.parametrize("fps", [8.0, 24.0])
@pytest.mark.parametrize("size", [(24, 40), (300, 320)])
def test_flows_and_tracks_in_one_pass_are_those_of_each_alone_in_threads_or_not(size, fps, threads, rng):
    frames = np.cumsum(rng.integers(0, 32, (9, *size, 3), dtype=np.uint8), axis=2, dtype=np.uint8)
    extractors = [PairWarping(), MiddleFrames(), PairMotion(), PointTracks()]
    in_threads, in_one_pass, alone = (view_of(frames, fps=fps) for _ in range(3))
    in_threads.expect(extractors, threads, threads)
    in_one_pass.expect(extractors)
    for extractor in extractors:
        for together in (in_threads, in_one_pass):
            assert np.array_equal(together.features(extractor), alone.features(extractor), equal_nan=True)
        assert np.array_equal(extractor(alone.clip), alone.features(extractor), equal_nan=True)


def test_measures_of_one_flow_share_each_pair(monkeypatch, rng):
    pairs, own = [], flow._dis
    monkeypatch.setattr(flow, "_dis", lambda a, b: pairs.append((a, b)) or own(a, b))
    view = view_of(rng.integers(0, 256, (5, 96, 96, 3), dtype=np.uint8))  # at 8 fps motion is that of pairs of neighbours
    extractors = [PairMotion(), PairWarping()]
    view.expect(extractors)
    for extractor in extractors:
        view.features(extractor)
    assert len(pairs) == 4 * 2  # forward and backward


def test_a_clip_that_one_measure_does_not_cover_has_the_others(rng):
    view, extractors = view_of(rng.integers(0, 256, (2, 24, 24, 3), dtype=np.uint8)), [PairWarping(), MiddleFrames()]
    view.expect(extractors)
    assert view.features(extractors[0]).shape == (1, 2)
    with pytest.raises(Undefined, match="at least 3"):
        view.features(extractors[1])


def test_what_the_cache_has_is_not_computed_again_with_the_rest_of_its_pass(tmp_path, monkeypatch, rng):
    frames, cache = rng.integers(0, 256, (5, 32, 32, 3), dtype=np.uint8), FeatureCache(tmp_path)
    first = ClipView(view_of(frames).clip, view_of(frames).case, cache)
    value = first.features(PairMotion())
    again = ClipView(first.clip, first.case, cache)
    again.expect([PairMotion(), MiddleFrames()])
    monkeypatch.setattr(PairMotion, "row", None)
    assert again.features(MiddleFrames()).shape == (2,)
    assert np.array_equal(again.features(PairMotion()), value)


class Sizes:
    """A network of clips of one size; it notes the sizes of its batches, and does not cover clips that begin black."""

    signature, cached = "sizes", False

    def __init__(self):
        self.batches = []

    def __call__(self, clip):
        return self.of_prepared([self.prepare(clip)])[0]

    def prepare(self, clip):
        if clip.num_frames < 2:
            raise Undefined("1 frame")
        return clip.frames.astype(np.float64)

    def of_prepared(self, videos):
        self.batches.append(len(videos))
        if any(not video[0].any() for video in videos):
            raise Undefined("black")
        return np.stack([video.mean((0, 1, 2)) for video in videos])


def test_a_network_is_given_clips_of_one_size_together_and_each_has_its_own_reason(threads, rng):
    frames = [rng.integers(1, 256, (t, 8, 8, 3), dtype=np.uint8) for t in (3, 3, 5, 1, 5, 5)]
    frames[4][0] = 0
    views, network = [view_of(f) for f in frames], Sizes()
    views[0].expect([network], None, threads)
    compute_together(network, views)
    assert network.batches == [2, 3, 1, 1, 1]  # the three with a black one are given again one by one
    reasons = []
    for view in views:
        try:
            assert np.array_equal(view.features(network), Sizes()(view.clip))
            reasons.append("")
        except Undefined as reason:
            reasons.append(str(reason))
    assert reasons == ["", "", "", "1 frame", "black", ""]
    assert network.batches == [2, 3, 1, 1, 1]


def test_flow_of_a_network_stays_in_the_thread_of_networks(tmp_path):
    import torch
    from torchvision.models.optical_flow import raft_small

    torch.save(raft_small(weights=None).state_dict(), tmp_path / "w.pt")
    network = create("warping_error", {"flow": "raft_small", "flow_weights": str(tmp_path / "w.pt")})
    assert (create("warping_error").extractor.beside_networks, network.extractor.beside_networks) == (True, False)
