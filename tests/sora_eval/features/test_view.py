"""A view computes each value once, in a thread where that is asked for, and says the same about it."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from sora_eval.features.flow import MiddleFrames, PairMotion, PairWarping
from sora_eval.features.point_tracks import PointTracks
from sora_eval.metrics.create import create
from sora_eval.util.errors import Undefined
from tests.conftest import view_of


class Extractor:
    """Its value is the number of its calls; it notes the threads that call it."""

    signature, cached = "s", False

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
        view.begin(extractor, threads)
        assert view.features(extractor) == 1
    assert extractor.threads != [threading.current_thread()]
    assert len(extractor.threads) == 1


@pytest.mark.parametrize("error", [Undefined("1 frame"), MemoryError("no room")])
def test_what_a_thread_raises_is_raised_where_the_value_is_asked_for(error, threads, rng):
    extractor, view = Extractor(error), view_of(rng.integers(0, 256, (2, 8, 8, 3), dtype=np.uint8))
    view.begin(extractor, threads)
    for _ in range(2):
        with pytest.raises(type(error), match=str(error)):
            view.features(extractor)
    assert len(extractor.threads) == 1


def test_flows_and_tracks_beside_each_other_are_those_of_one_after_the_other(threads, rng):
    frames = rng.integers(0, 256, (9, 24, 40, 3), dtype=np.uint8)
    extractors = [PairWarping(), MiddleFrames(), PairMotion(), PointTracks()]
    together, alone = view_of(frames), view_of(frames)
    for extractor in extractors:
        together.begin(extractor, threads)
    for extractor in extractors:
        assert np.array_equal(together.features(extractor), alone.features(extractor), equal_nan=True)


def test_flow_of_a_network_stays_in_the_thread_of_networks(tmp_path):
    import torch
    from torchvision.models.optical_flow import raft_small

    torch.save(raft_small(weights=None).state_dict(), tmp_path / "w.pt")
    network = create("warping_error", {"flow": "raft_small", "flow_weights": str(tmp_path / "w.pt")})
    assert (create("warping_error").extractor.beside_networks, network.extractor.beside_networks) == (True, False)
