"""Tables of prompts and seeds hold the scores of the runs, and pseudo-values of set metrics whose mean is the metric."""

from dataclasses import replace

import numpy as np
import pytest

from sora_eval.compare.run_data import data_of
from sora_eval.stats.distances import gaussian_distance
from sora_eval.stats.set_statistic import SetStatistic
from sora_eval.studies.error_rates import by_seed
from sora_eval.studies.prompt_tables import prompt_table
from tests.runs import make_run


@pytest.fixture
def pool(tmp_path):
    """Three seeds of 6 prompts x 2 shapes: the first has no score of p00, the second only one of p01."""
    rng, runs = np.random.default_rng(0), []
    reference = rng.standard_normal((14, 3))
    for k, gone in enumerate(((0, 1), (3,), ())):
        scores = ["error: gone" if i in gone else i + 100.0 * k for i in range(12)]
        vectors = rng.standard_normal((12, 3)) + 0.5
        run = make_run(tmp_path / str(k), {"m": scores}, {"fvd": vectors}, prompts=6, reference=reference, seed_offset=10 * k)
        runs.append(data_of(run))
    return by_seed(runs)


def test_scores_are_means_over_the_shapes_of_a_prompt(pool):
    table = prompt_table(pool, "m", "all")
    expected = np.arange(0.5, 12, 2)[:, None] + [0, 100, 200]
    expected[0, 0], expected[1, 1] = np.nan, 102.0
    assert np.array_equal(table, expected, equal_nan=True)
    assert prompt_table(pool, "m", "40x24x9")[:, 2].tolist() == [201, 203, 205, 207, 209, 211]


def test_pseudo_values_of_a_set_metric_have_its_value_as_mean(pool):
    statistic = SetStatistic(kind="mmd-gaussian")
    rows = {key: row.model_copy(update={"statistic": statistic}) for key, row in pool[0].metrics.items()}
    pool = [replace(data, metrics=rows) for data in pool]
    shape = prompt_table(pool, "fvd", "32x32x9")  # one clip per prompt: the jackknife of an unbiased mean of pairs is exact
    assert shape.shape == (6, 3)
    real_ids, real = pool[0].references["fvd"]
    own = real[[i.endswith("32x32x9/0") for i in real_ids]]
    expected = [gaussian_distance(data.features["fvd"][1][::2], own) for data in pool]
    assert shape.mean(0) == pytest.approx(np.array(expected))
    assert shape.std(0).min() > 0


def test_a_set_metric_without_its_reference_is_refused(pool):
    with pytest.raises(ValueError, match="no vectors of its reference set"):
        prompt_table([replace(data, references={}) for data in pool], "fvd", "all")
