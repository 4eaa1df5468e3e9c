"""Variance components of simulated tables are those that these were made with."""

import numpy as np
import pytest

from sora_eval.stats.components import components, seed_correlation, seed_kurtosis


def tables(rng, prompts, seeds, prompt=2.0, seed=1.0, seed_new=1.5, prompt_checkpoint=0.8):
    """A table of either checkpoint of known standard deviations; a twentieth of the scores is missing."""
    level = 10 + prompt * rng.standard_normal((prompts, 1))
    base = level + seed * rng.standard_normal((prompts, seeds))
    changed = level + prompt_checkpoint * rng.standard_normal((prompts, 1)) + 3.0
    new = changed + seed_new * rng.standard_normal((prompts, seeds))
    return [np.where(rng.random(t.shape) < 0.05, np.nan, t) for t in (base, new)]


def test_components_of_a_large_table_are_those_it_was_made_with():
    base, new = tables(np.random.default_rng(0), 4000, 5)
    parts = components(base, new)
    assert parts.mean == pytest.approx(10, abs=0.1)
    assert parts.prompt == pytest.approx(4.0, rel=0.08)
    assert parts.seed == pytest.approx(1.0, rel=0.05)
    assert parts.seed_new == pytest.approx(2.25, rel=0.05)
    assert parts.prompt_checkpoint == pytest.approx(0.64, rel=0.15)


def test_components_of_few_prompts_are_right_on_average():
    rng = np.random.default_rng(1)
    drawn = [components(*tables(rng, 16, 3)) for _ in range(600)]
    for name, true in (("prompt", 4.0), ("seed", 1.0), ("seed_new", 2.25), ("prompt_checkpoint", 0.64)):
        assert np.mean([getattr(c, name) for c in drawn]) == pytest.approx(true, rel=0.12)


def test_the_variance_of_a_change_is_that_of_simulated_changes():
    rng, changes = np.random.default_rng(2), []
    base, new = tables(rng, 4000, 6)
    for held, asked in ((4, 2), (1, 1), (6, 3)):
        known = np.isfinite(base[:, :held]).all(1) & np.isfinite(new[:, :asked]).all(1)
        changes = new[known, :asked].mean(1) - base[known, :held].mean(1)
        assert components(base, new).of_change(held, asked) == pytest.approx(changes.var(ddof=1), rel=0.06)


def test_without_noise_there_is_no_component():
    parts = components(np.repeat([[1.0], [3.0]], 3, 1))
    assert (parts.prompt, parts.seed, parts.prompt_checkpoint) == (2.0, 0.0, 0.0)


@pytest.mark.parametrize("table", [np.ones((1, 4)), np.ones((4, 1)), np.full((4, 4), np.nan)])
def test_a_table_that_tells_nothing_is_refused(table):
    with pytest.raises(ValueError, match="at least 2 prompts with scores, and a prompt with 2 seeds"):
        components(table)


def test_correlations_are_those_of_seeds_not_of_prompts():
    rng = np.random.default_rng(3)
    level, noise = 5 * rng.standard_normal((500, 1)), rng.standard_normal((3, 500, 4))
    first, second = level + noise[0], level - 0.8 * noise[0] + 0.6 * noise[1]
    second[0, 0] = np.nan
    out = seed_correlation([first, second, level + noise[2], np.repeat(level, 4, 1)])
    expected = [[1, -0.8, 0, 0], [-0.8, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    assert out == pytest.approx(np.array(expected), abs=0.07)
    assert np.linalg.eigvalsh(out).min() >= -1e-12


def test_kurtosis_is_that_of_seeds_not_of_prompts():
    rng = np.random.default_rng(4)
    outlying = 1000.0 * (rng.random((400, 1)) < 0.01)
    noise = rng.standard_normal((400, 6))
    assert seed_kurtosis(outlying + noise) == pytest.approx(0, abs=0.4)
    assert seed_kurtosis(noise + 20 * (rng.random((400, 6)) < 0.005)) > 20
    assert seed_kurtosis(np.ones((3, 3))) == seed_kurtosis(np.full((3, 3), np.nan)) == 0
