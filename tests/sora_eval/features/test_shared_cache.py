"""Two runs at once share one cache: every reader has the right value, and every entry that stays is whole."""

import hashlib
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np

from sora_eval.features.view import FeatureCache
from sora_eval.util.cache import derived_file

KEYS = [hashlib.sha256(str(i).encode()).hexdigest() for i in range(12)]
ROUNDS = 6


def value_of(key):
    return np.random.default_rng(int(key[:8], 16)).standard_normal(5000)


def damage(path):
    if path.exists():
        path.write_bytes(path.read_bytes()[:1000])


def one_run(arguments):
    """The number of wrong values that a run meets which reads all keys, each process in an order of its own.

    Every third entry is damaged or vanishes under the other run, as by a full disk or a clean-up.
    """
    folder, seed = arguments
    cache, rng, wrong = FeatureCache(folder), np.random.default_rng(seed), 0
    for _ in range(ROUNDS):
        for i in rng.permutation(len(KEYS)):
            key = KEYS[i]
            wrong += not np.array_equal(cache.keep(key, lambda key=key: value_of(key)), value_of(key))
            path = folder / key[:2] / f"{key}.npz"
            if i % 3 == 0 and seed % 2:
                damage(path)
            elif i % 3 == 1:
                path.unlink(missing_ok=True)
        derived = derived_file(folder / "derived.bin", lambda path: path.write_bytes(b"weights" * 10_000))
        wrong += derived.parent != folder or derived.read_bytes() != b"weights" * 10_000
    for key in KEYS:
        cache.keep(key, lambda key=key: value_of(key))
    return wrong


def test_two_runs_at_once_lose_and_corrupt_nothing(tmp_path):
    folder = tmp_path / "features"
    with ProcessPoolExecutor(2, mp_context=get_context("fork")) as pool:
        assert list(pool.map(one_run, [(folder, 0), (folder, 1)])) == [0, 0]

    def absent():
        raise AssertionError("an entry was lost")

    cache = FeatureCache(folder)
    for key in KEYS:
        value = cache.keep(key, lambda key=key: value_of(key))  # one that the other run damaged last is made again
        assert np.array_equal(value, value_of(key))
        assert np.array_equal(cache.keep(key, absent), value)
    assert not list(folder.rglob("*.part"))
