"""The features that ship are those of the shipped suites' reference clips, and are found by content alone."""

import numpy as np
import pytest

from sora_eval.features import shipped
from sora_eval.features.i3d import VideoFeatures
from sora_eval.features.view import FeatureCache
from sora_eval.generators.asking import answers_of
from sora_eval.pipeline.reference import open_reference
from sora_eval.suite import load_suite
from sora_eval.suite.loading import shipped as shipped_suites

WORLD = [s for s in map(load_suite, shipped_suites()) if s.reference is not None and s.reference.generator == "world"]


@pytest.fixture
def clip():
    suite = load_suite("quick")
    return answers_of(open_reference(suite), suite, suite.cases[:1], suite.reference.seed_offset)[0]


def test_every_suite_with_a_rendered_reference_set_is_in_the_file():
    """After a change of such a suite: python -m docs.pages.reference_features."""
    assert {s.fingerprint for s in WORLD} == set(shipped._read()["suites"].tolist())
    assert len(shipped.shipped_features()) == sum(len(s.cases) * s.reference.copies for s in WORLD)


@pytest.mark.i3d
def test_a_shipped_vector_is_what_the_network_gives(clip, tmp_path, monkeypatch):
    extractor = VideoFeatures()
    if shipped.unlike_shipped(load_suite("quick").fingerprint, {clip.sha256}):
        pytest.skip("this machine renders the world otherwise")
    computed = extractor(clip)
    with monkeypatch.context() as patch:
        patch.setattr(VideoFeatures, "__call__", lambda *_: pytest.fail("it was computed"))
        found = FeatureCache(tmp_path).get(clip, extractor)
    assert not any(tmp_path.iterdir())
    assert np.abs(found - computed).max() <= 1e-4


def test_clips_that_are_not_those_of_the_file_are_counted(monkeypatch):
    suite = load_suite("quick")
    clips = set(shipped._read()["clips"].tolist()[:3])
    assert shipped.unlike_shipped(suite.fingerprint, clips | {"a", "b"}) == 2
    assert shipped.unlike_shipped("another suite", {"a"}) == 0


def test_without_the_file_nothing_ships(tmp_path, monkeypatch):
    monkeypatch.setattr(shipped, "FILE", tmp_path / "absent.npz")
    shipped._read.cache_clear()
    try:
        assert shipped._read() == {}
        assert shipped.shipped_features.__wrapped__() == {}
        assert shipped.unlike_shipped(load_suite("quick").fingerprint, {"a"}) == 0
    finally:
        shipped._read.cache_clear()
