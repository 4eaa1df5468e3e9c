"""Slices: whole clusters are drawn, and the answer is that of the slow way."""

import numpy as np
import pandas as pd
from scipy import stats

from sora_eval.compare.slices import cluster_percentiles, slice_table


def scores(rng, prompts=30):
    rows = [
        {"metric": m, "prompt_id": f"p{i}", "shape": s, "frames": 9, "tags": ["even" if i % 2 == 0 else "odd"]}
        for m in ("a", "b")
        for i in range(prompts)
        for s in ("32x32x9", "40x24x9")
    ]
    frame = pd.DataFrame(rows)
    return frame.assign(base=rng.standard_normal(len(frame)), new=rng.standard_normal(len(frame)) + 1)


def test_slices_are_those_of_shape_length_and_tag(rng):
    table = slice_table(scores(rng))
    assert set(zip(table["kind"], table["slice"], strict=True)) == {
        ("shape", "32x32x9"),
        ("shape", "40x24x9"),
        ("length", "9"),
        ("tag", "even"),
        ("tag", "odd"),
    }
    assert len(table) == 2 * 5


def test_a_slice_is_the_mean_of_its_own_cases(rng):
    frame = scores(rng)
    table = slice_table(frame).set_index(["metric", "slice"])
    own = frame[frame["metric"].eq("b") & frame["shape"].eq("40x24x9")]
    row = table.loc["b", "40x24x9"]
    assert np.isclose(row["change"], (own["new"] - own["base"]).mean())
    assert (row["n"], row["prompts"]) == (30, 30)
    assert row["low"] < row["change"] < row["high"]


def test_intervals_agree_with_scipys_bootstrap_of_clusters(rng):
    sums, counts = rng.normal(1, 2, 40), rng.integers(1, 4, 40).astype(float)
    low, high = cluster_percentiles(sums[None], counts[None])
    reference = stats.bootstrap(
        (sums, counts),
        lambda s, c, axis: s.sum(axis) / c.sum(axis),
        paired=True,
        vectorized=True,
        n_resamples=20000,
        method="percentile",
        rng=np.random.default_rng(1),
    ).confidence_interval
    width = reference.high - reference.low
    assert abs(low[0] - reference.low) < 0.08 * width
    assert abs(high[0] - reference.high) < 0.08 * width


def test_missing_scores_and_single_prompts_give_no_interval(rng):
    frame = scores(rng, prompts=1)
    table = slice_table(frame)
    assert table["low"].isna().all()
    assert table["method"].eq("none: fewer than 2 prompts").all()
    frame["new"] = np.nan
    assert slice_table(frame).empty


def test_one_run_has_means_without_differences(rng):
    table = slice_table(scores(rng).drop(columns="base"))
    assert table["change"].isna().all()
    assert (table["low"] <= table["new"]).all()
