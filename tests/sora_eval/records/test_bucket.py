"""Unlike clips are never pooled or compared in silence, and one canvas makes them alike."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sora_eval.compare.difference import difference
from sora_eval.compare.run_data import data_of
from sora_eval.gate.judge import gate
from sora_eval.metrics.create import create
from sora_eval.pipeline import run as evaluate
from sora_eval.pipeline.canonical import on_canvas
from sora_eval.pipeline.summarise import sensitive_to
from sora_eval.records.bucket import AXES, Bucket, incomparable, pooling_note, pooling_of, spread, unlike_reference
from sora_eval.records.clip import Clip
from sora_eval.records.verdict import Verdict
from sora_eval.runs.rows import AttributionRow, MetricRow, SampleRow, ScoreRow
from sora_eval.runs.slices import slices_of
from sora_eval.suite import Canonical, Gate, Suite, SuiteHead, load_suite
from sora_eval.util.errors import SuiteError, Undefined
from sora_eval.video.codec import read_clip, write_clip

SMALL = Bucket(32, 32, 16, 8.0)
BUCKETS = st.builds(Bucket, st.integers(1, 4000), st.integers(1, 4000), st.integers(1, 900), st.floats(1e-3, 1e5))
RATES = st.sampled_from([8.0, 23.976, 24000 / 1001, 24.0, 29.97, 30000 / 1001, 30.0])


@given(BUCKETS)
def test_a_bucket_survives_its_text(bucket):
    assert Bucket.parse(str(bucket)) == bucket
    assert spread([bucket, bucket]) == ()


@given(st.lists(st.builds(Bucket, st.just(32), st.just(32), st.integers(8, 9), RATES), min_size=1))
def test_no_clip_is_lost_from_the_counts_by_bucket(buckets):
    counts = pooling_of(buckets, AXES).buckets
    assert sum(counts.values()) == len(buckets)


def test_two_ways_to_write_one_rate_are_one_bucket_and_one_slice():
    rows = [
        SampleRow(id=f"p{i}", prompt_id="p", width=32, height=32, frames=8, fps=f) for i, f in enumerate([29.97, 30000 / 1001])
    ]
    assert [part.label for part in slices_of(rows)] == ["all"]
    three = [*rows, SampleRow(id="p2", prompt_id="p", width=32, height=32, frames=8, fps=24.0)]
    assert {part.label: len(part.ids) for part in slices_of(three)} == {"all": 3, "32x32x8@29.97": 2, "32x32x8@24": 1}


def test_buckets_differ_by_axis():
    assert spread([SMALL, Bucket(64, 64, 16, 8.0)]) == ("resolution",)
    assert spread([SMALL, Bucket(64, 16, 16, 8.0)]) == ("aspect",)
    assert spread([SMALL, Bucket(32, 32, 8, 4.0)]) == ("fps",)
    assert spread([SMALL, Bucket(32, 32, 8, 8.0)]) == ("length",)
    assert spread([Bucket(854, 480, 48, 24.0), Bucket(1280, 720, 48, 23.976)]) == ("resolution",)
    assert spread([]) == ()


def test_pooling_is_named_for_what_a_metric_is_sensitive_to_only():
    mixed = [SMALL, SMALL, Bucket(64, 64, 16, 8.0)]
    row = pooling_of(mixed, AXES)
    assert row.buckets == {"32x32x16@8": 2, "64x64x16@8": 1}
    assert pooling_note(row) == "pooled over 2 buckets that differ in resolution, to which it is not invariant"
    assert pooling_note(pooling_of(mixed, ("aspect", "fps"))) == ""
    assert pooling_note(pooling_of(mixed[:2], AXES)) == ""


def test_clips_of_other_buckets_cannot_be_compared():
    pairs = [(SMALL, SMALL), (SMALL, Bucket(64, 64, 16, 8.0))]
    assert incomparable(pairs, AXES).startswith(
        "cases differ in resolution (32x32x16@8 against 64x64x16@8), to which it is not"
    )
    assert incomparable(pairs, ("aspect", "fps", "length")) == ""
    assert incomparable(pairs[:1], AXES) == ""


@given(st.lists(BUCKETS, min_size=1, max_size=3), st.lists(BUCKETS, min_size=1, max_size=3), st.sets(st.sampled_from(AXES)))
def test_sets_are_alike_exactly_if_each_bucket_has_one_like_it(a, b, axes):
    def like(x, y):
        return not axes & set(spread((x, y)))

    alike = all(any(like(x, y) for y in b) for x in a) and all(any(like(x, y) for x in a) for y in b)
    assert (unlike_reference(a, b, axes) == "") is alike
    assert unlike_reference(a, a, axes) == unlike_reference([], b, axes) == ""


def clip(t=24, h=30, w=50, fps=24.0):
    frames = np.zeros((t, h, w, 3), np.uint8)
    frames[..., 0] = np.arange(t)[:, None, None] * 5
    return Clip(frames, fps)


def test_the_canvas_chooses_frames_by_time_and_invents_none():
    out = on_canvas(clip(), Canonical(fps=8))
    assert out.fps == 8
    assert out.frames[:, 0, 0, 0].tolist() == [5 * i for i in range(0, 24, 3)]
    assert on_canvas(clip(fps=7.95), Canonical(fps=8)).num_frames == 24
    with pytest.raises(Undefined, match="6 fps; the canonical canvas has 8, and frames are not invented"):
        on_canvas(clip(fps=6), Canonical(fps=8))
    with pytest.raises(Undefined, match="24 frames at 24 fps; the canonical canvas has 2 s, 48 frames"):
        on_canvas(clip(), Canonical(seconds=2))


def test_clips_of_any_shape_leave_the_canvas_in_one_bucket():
    canvas = Canonical(fps=8, seconds=1, aspect="4:3", area=3072)
    out = [on_canvas(c, canvas) for c in (clip(), clip(40, 90, 60, 25.0), clip(30, 16, 16, 30.0))]
    assert {(c.width, c.height, c.num_frames, c.fps) for c in out} == {(64, 48, 8, 8.0)}
    assert canvas.fixed == AXES
    assert canvas.signature == "|canonical:fps=8.0,area=3072,seconds=1.0,aspect=4:3"
    assert Canonical(area=100).fixed == ("resolution",)


@pytest.fixture
def folder(tmp_path, rng):
    """Two small and two doubled clips, as a folder brings them."""
    path = tmp_path / "clips"
    path.mkdir()
    for i in range(4):
        frames = rng.integers(0, 256, (8, 16, 24, 3), dtype=np.uint8)
        frames = frames.repeat(2, 1).repeat(2, 2) if i > 1 else frames
        write_clip(Clip(frames, 8.0), path / f"c{i}.mkv")
    return path


def run(tmp_path, folder, text, reference=None):
    (tmp_path / "s.toml").write_text('[suite]\nid = "s"\n' + text)
    return evaluate.run(
        load_suite(tmp_path / "s.toml"), f"folder:{folder}", tmp_path / "runs", reference=f"folder:{reference or folder}"
    )


def test_rows_say_what_they_pool_and_every_bucket_has_its_own(tmp_path, folder, network):
    text = f"[metrics.temporal_flickering]\n[metrics.warping_error]\n[metrics.kvd]\nnetwork = {json.dumps(str(network))}\n"
    rows = {(r.metric, r.slice): r for r in run(tmp_path, folder, text).rows(MetricRow)}
    assert {s for _, s in rows} == {"all", "24x16x8", "48x32x8"}
    whole = rows["kvd", "all"]
    assert whole.pooled == ("resolution",)
    assert "pooled over 2 buckets that differ in resolution" in whole.reason
    assert whole.buckets == {"24x16x8@8": 2, "48x32x8@8": 2}
    part = rows["kvd", "48x32x8"]
    assert (part.n_scored, part.pooled) == (2, ())
    assert "2 reference clips" in part.reason
    assert part.signature != whole.signature  # another part of the reference set
    # Nearest doubling moves no pixel difference, so flickering may be pooled over resolution.
    assert "resolution" not in rows["temporal_flickering", "all"].sensitive_to
    assert rows["temporal_flickering", "all"].reason == ""


def test_comparing_runs_across_buckets_is_refused_but_for_what_does_not_change(tmp_path, folder):
    text = "[metrics.temporal_flickering]\n[metrics.warping_error]\n"
    doubled = tmp_path / "doubled"
    doubled.mkdir()
    for file in folder.iterdir():
        clip = read_clip(file)
        write_clip(Clip(clip.frames.repeat(2, 1).repeat(2, 2), 8.0), doubled / file.name)
    pair = [run(tmp_path, path, text, folder) for path in (folder, doubled)]
    refused = difference(*map(data_of, pair), "warping_error")
    assert refused.status is Verdict.NOT_COMPARABLE
    assert "cases differ in resolution (24x16x8@8 against 48x32x8@8)" in refused.reason
    assert difference(*map(data_of, pair), "temporal_flickering").change == pytest.approx(0.0, abs=1e-12)
    pair = [run(tmp_path, path, f"[canonical]\narea = 384\n{text}", folder) for path in (folder, doubled)]
    assert difference(*map(data_of, pair), "warping_error").status is None


def test_a_distance_to_clips_of_another_rate_is_noted_and_refused_under_strict(tmp_path, folder, network):
    faster = tmp_path / "faster"
    faster.mkdir()
    for file in folder.iterdir():
        write_clip(Clip(read_clip(file).frames, 24.0), faster / file.name)
    text = f"[metrics.kvd]\nnetwork = {json.dumps(str(network))}\n"
    pair = [data_of(run(tmp_path, folder, text, faster)) for _ in range(2)]
    row = pair[0].metrics["kvd", "all"]
    words = "differ in fps (24x16x8@8 against 24x16x8@24), length (24x16x8@8 against 24x16x8@24), to which it is not invariant"
    assert words in row.reason
    assert words in row.unlike_reference
    assert words in difference(*pair, "kvd").note
    verdicts = {s: gate(*pair, {"kvd": Gate(max_increase=10)}, strict=s).rows[0] for s in (False, True)}
    assert verdicts[True].verdict is Verdict.NOT_COMPARABLE
    assert verdicts[False].verdict is not Verdict.NOT_COMPARABLE
    assert all(words in v.reason for v in verdicts.values())
    alike = data_of(run(tmp_path, folder, text))
    assert alike.metrics["kvd", "all"].unlike_reference == ""
    one_rate = data_of(run(tmp_path, folder, f"[canonical]\nfps = 8\nseconds = 0.3\n{text}", faster))
    assert one_rate.metrics["kvd", "all"].unlike_reference == ""


def test_a_protocol_that_cuts_does_not_see_the_length():
    suite = Suite(suite=SuiteHead(id="s"), metrics={"fvd": {}})
    assert "length" in sensitive_to("fvd", create("fvd"), suite)
    assert "length" not in sensitive_to("fvd", create("fvd", {"protocol": "styleganv"}), suite)


def test_on_a_canonical_canvas_nothing_is_pooled_and_the_signature_says_so(tmp_path, folder, network):
    text = (
        f"[canonical]\narea = 384\n[metrics.temporal_flickering]\n[metrics.warping_error]\n[metrics.physics_laws]\n"
        f"[metrics.kvd]\nnetwork = {json.dumps(str(network))}\n"
    )
    out = run(tmp_path, folder, text)
    for row in out.rows(MetricRow):
        physics = row.metric.startswith("physics")
        assert row.pooled == ()
        assert ("|canonical:area=384" in row.signature) is not physics  # its facts are in pixels of the clip
    assert all("|canonical:area=384" in r.signature for r in out.rows(AttributionRow))


def test_a_clip_that_does_not_fill_the_canvas_is_a_row_with_the_reason(tmp_path, folder):
    out = run(tmp_path, folder, "[canonical]\nfps = 12\n[metrics.temporal_flickering]\n")
    assert {r.reason for r in out.rows(ScoreRow)} == {"8 fps; the canonical canvas has 12, and frames are not invented"}
    assert out.rows(MetricRow)[0].status == "undefined"


@pytest.mark.parametrize(("line", "words"), [("aspect = 'wide'", "expected WIDTH:HEIGHT"), ("colour = 1", "is not known")])
def test_a_canvas_that_is_none_is_an_error_of_the_suite(tmp_path, line, words):
    (tmp_path / "s.toml").write_text(f'[suite]\nid = "s"\n[canonical]\n{line}\n[metrics.temporal_flickering]\n')
    with pytest.raises(SuiteError, match=words):
        load_suite(tmp_path / "s.toml")
