"""Changes between sets of seeds: unbiased whatever is shared, and less noisy where the noise is shared."""

import numpy as np
import pytest

from sora_eval.stats import seeds as seeds_module
from sora_eval.stats.seeds import permuted_labels_p, seed_changes


def drawn(rng, rows, base, new, shared, correlation, change=0.0):
    """Scores (rows, seeds) of two runs: a level per row, and noise per seed that shared seeds have in common."""
    level = rng.standard_normal((rows, 1))
    a, b = rng.standard_normal((rows, base)), rng.standard_normal((rows, new))
    for j in range(shared):
        b[:, j] = correlation * a[:, j] + np.sqrt(1 - correlation**2) * b[:, j]
    return level + a, level + b + change, [(j, j) for j in range(shared)]


def test_without_shared_seeds_it_is_the_difference_of_means():
    base, new = np.array([[1.0, 3.0], [2.0, np.nan]]), np.array([[5.0], [1.0]])
    changes, shared = seed_changes(base, new, [])
    assert changes.tolist() == [3.0, -1.0]
    assert shared is None


def test_where_all_seeds_are_shared_it_is_the_paired_difference():
    base, new = np.array([[1.0, 3.0], [2.0, np.nan]]), np.array([[2.0, 5.0], [1.0, 9.0]])
    changes, shared = seed_changes(base, new, [(0, 0), (1, 1)])
    assert changes.tolist() == [1.5, -1.0]
    assert shared.beta == 1.0


@pytest.mark.parametrize(("correlation", "weight"), [(0.0, 1 / 4), (0.5, 0.5 + 0.5 / 4), (0.98, 0.98 + 0.02 / 4)])
def test_the_control_variate_finds_its_weight_and_never_adds_noise(correlation, weight, rng):
    spreads, means, betas = [], [], []
    for _ in range(200):
        base, new, columns = drawn(rng, 64, 4, 2, 2, correlation, change=0.3)
        changes, shared = seed_changes(base, new, columns)
        spreads.append([changes.mean(), (new.mean(1) - base.mean(1)).mean(), (new - base[:, :2]).mean()])
        means.append(changes.mean())
        betas.append(shared.beta)
    own, plain, paired = np.std(spreads, axis=0)
    assert own <= 1.05 * min(plain, paired)
    assert np.mean(means) == pytest.approx(0.3, abs=4 * own / np.sqrt(200))
    assert np.mean(betas) == pytest.approx(weight, abs=0.03)


def test_equal_scores_of_shared_seeds_leave_nothing():
    base = np.random.default_rng(0).standard_normal((20, 4))
    changes, shared = seed_changes(base, base[:, :2], [(0, 0), (1, 1)])
    assert np.abs(changes).max() < 1e-12
    assert shared.beta == pytest.approx(1.0)
    assert shared.correlation == pytest.approx(1.0)


def test_permuted_labels_hold_their_level(rng):
    p = [permuted_labels_p(*drawn(rng, 16, 4, 2, 0, 0.0)[:2], [str(i // 2) for i in range(16)], 199) for _ in range(400)]
    assert np.mean(np.array(p) <= 0.05) == pytest.approx(0.05, abs=0.03)


def test_a_collapse_of_few_prompts_is_found_by_labels(rng):
    """6 of 32 prompts fall: flipped signs can give no p below 2 / 2^6 of those, permuted labels can."""
    base, new, _ = drawn(rng, 32, 4, 2, 0, 0.0)
    new[:6] -= 6.0
    assert permuted_labels_p(base, new, [str(i) for i in range(32)], 999) <= 0.002


def test_scores_that_are_missing_are_left_out():
    base, new = np.array([[1.0, np.nan, 3.0]] * 8), np.array([[np.nan, 9.0]] * 8)
    assert permuted_labels_p(base, new, list("abcdefgh"), 199) <= 0.05


def test_labels_in_parts_and_a_linear_sum_give_the_p_of_an_independent_count(rng, monkeypatch):
    """With every score there, and one missing, against labels that are drawn all at once."""
    names = [f"{i // 2:02d}" for i in range(24)]
    monkeypatch.setattr(seeds_module, "AT_A_TIME", 100)
    for missing in (False, True):
        base, new = rng.standard_normal((24, 3)), rng.standard_normal((24, 2)) + 0.3
        if missing:
            base[:2, 1] = np.nan
        seeds = np.concatenate([new, base], 1).reshape(12, 2, 5).mean(1)
        labels = np.random.default_rng(0).random((199, 12, 5)).argsort(2) < 2
        labels = np.concatenate([np.arange(5)[None, None].repeat(12, 1) < 2, labels])
        side = [np.where(labels == wanted, seeds, np.nan) for wanted in (True, False)]
        changes = np.abs((np.nanmean(side[0], 2) - np.nanmean(side[1], 2)).mean(1))
        expected = ((changes[1:] >= changes[0] - 1e-12).sum() + 1) / 200
        assert permuted_labels_p(base, new, names, 199) == pytest.approx(expected)
