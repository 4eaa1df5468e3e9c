"""Flips of many clusters come in parts, which change no number."""

import pytest

from sora_eval.stats import cluster_means


@pytest.mark.parametrize("clusters", [3, 9, 60])
def test_flips_in_parts_give_the_p_of_all_at_once(clusters, rng, monkeypatch):
    differences, names = rng.standard_normal(clusters) + 0.1, [str(i) for i in range(clusters)]
    found = set()
    for signs in (1 << 40, 7 * clusters):
        monkeypatch.setattr(cluster_means, "AT_A_TIME", signs)
        found.add(cluster_means.sign_flip_p(differences, names, permutations=200))
    assert len(found) == 1
