"""In whichever order clips come, are split and merged, the numbers of a set are the same bits."""

import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sora_eval.metrics.create import create
from sora_eval.pipeline import run as evaluate
from sora_eval.pipeline.slices import Slice
from sora_eval.pipeline.summarise_sets import attribution_rows, set_rows
from sora_eval.records.clip import Clip
from sora_eval.runs.folder import RunFolder
from sora_eval.runs.rows import AttributionRow, MetricRow
from sora_eval.suite import load_suite
from sora_eval.video.codec import write_clip
from tests.runs import head_of

SETS = ("fvd", "kvd", "precision", "recall")
N, M, WIDTH = 9, 21, 5
IDS, REAL = [f"p{i // 2}/native/{i % 2}" for i in range(N)], [f"r{i // 3}/native/0" for i in range(M)]


def vectors():
    rng = np.random.default_rng(3)
    values = rng.normal(0.3, 1, (N, WIDTH)) * 7, rng.normal(0, 1, (M, WIDTH)) * 7
    return [v.astype(np.float32) for v in values]


def rows_in_order(name, generated_order, real_order):
    """The rows of a run that stored its vectors in these orders."""
    generated, real = vectors()
    metric = create(name)
    buckets, clips = np.array(["32x32x9@8"] * M), np.array([f"{i:02}" for i in range(M)])
    with tempfile.TemporaryDirectory() as root:
        folder = RunFolder.create(Path(root), head_of(status="started"), {})
        folder.save_features(name, [IDS[i] for i in generated_order], generated[generated_order])
        folder.save_features(
            f"reference-{name}",
            [REAL[i] for i in real_order],
            real[real_order],
            failed=np.array([], np.str_),
            buckets=buckets,
            clips=clips[real_order],
        )
        part = Slice("all", [IDS[i] for i in generated_order], {})
        rows = set_rows(name, metric, part, folder, "", {i: i.split("/")[0] for i in IDS}, metric.signature, ())
        return rows, attribution_rows(metric, folder, metric.signature)


@pytest.mark.parametrize("name", SETS)
@given(data=st.data())
@settings(max_examples=8)
def test_no_order_of_clips_changes_value_p_null_or_interval(name, data):
    orders = [data.draw(st.permutations(range(n))) for n in (N, M)]
    rows, attributed = rows_in_order(name, *map(list, orders))
    assert (rows, attributed) == rows_in_order(name, list(range(N)), list(range(M)))
    assert rows[0].value is not None
    if name in ("fvd", "kvd"):
        assert rows[0].p is not None
        assert len(attributed) == N


@pytest.mark.parametrize("name", SETS)
@given(data=st.data())
@settings(max_examples=15)
def test_no_split_or_order_of_merging_changes_a_bit(name, data):
    generated, real = vectors()
    whole = create(name)
    whole.update(generated)
    whole.update(real, real=True)
    ends = sorted(data.draw(st.sets(st.integers(1, N - 1), max_size=3)))
    order = data.draw(st.permutations(range(N)))
    parts = []
    for i, cut in enumerate(np.split(np.array(order), ends)):
        parts.append(create(name))
        parts[-1].update(generated[cut])
        if i == 0:
            parts[-1].update(real[data.draw(st.permutations(range(M)))], real=True)
    first, *others = data.draw(st.permutations(parts))
    for other in others:
        first.merge_state(other)
    assert first.compute().tolist() == whole.compute().tolist()


def test_a_folder_read_in_another_order_has_the_same_rows(tmp_path, network, rng):
    clips = tmp_path / "clips"
    clips.mkdir()
    for i in range(6):
        write_clip(Clip(rng.integers(0, 256, (8, 16, 24, 3), dtype=np.uint8), 8.0), clips / f"c{i}.mkv")
    (tmp_path / "s.toml").write_text(
        '[suite]\nid = "s"\n[metrics.temporal_flickering]\n' + f"[metrics.kvd]\nnetwork = {json.dumps(str(network))}\n"
    )
    found = []
    for order in (range(6), (5, 2, 0, 4, 1, 3)):
        lines = [json.dumps({"path": f"c{i}.mkv", "prompt": "", "prompt_id": f"p{i % 3}", "seed": i}) for i in order]
        (clips / "manifest.jsonl").write_text("\n".join(lines))
        out = evaluate.run(load_suite(tmp_path / "s.toml"), f"folder:{clips}", tmp_path / "runs", reference=f"folder:{clips}")
        found.append((out.rows(MetricRow), out.rows(AttributionRow)))
    assert found[0] == found[1]
    assert [r.status for r in found[0][0]] == ["ok", "ok"]
