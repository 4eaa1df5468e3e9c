"""Equal to the published implementations on the same features, and free of the defects that public code is known for."""

import contextlib

import numpy as np
import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer
from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, kid_features_to_metric
from torchmetrics.functional.multimodal.clip_score import clip_score as torchmetrics_clip_score
from torchmetrics.image.fid import FrechetInceptionDistance

from reference_model.world import ObjectFacts
from sora_eval.features.flow import PairWarping
from sora_eval.features.image_text import FrameEmbeddings, load
from sora_eval.metrics.create import create
from sora_eval.metrics.temporal import consistency, temporal_flickering
from sora_eval.metrics.text import clip_score
from sora_eval.stats.distances import frechet_distance, kernel_distance
from sora_eval.util.weights import world_clip as world_clip_folder
from tests.conftest import view_of, world_clip


class Given(torch.nn.Module):
    """Features that are the input itself: torchmetrics' metric without its network."""

    num_features = 24

    def forward(self, x):
        return x.double()


@pytest.mark.parametrize(("n", "m"), [(20, 16), (24, 60), (300, 200)])
def test_frechet_equals_torchmetrics_frechet_inception_distance(n, m, rng):
    mix = rng.standard_normal((24, 24))
    a, b = rng.standard_normal((n, 24)) @ mix + 1, rng.standard_normal((m, 24)) * 1.5
    theirs = FrechetInceptionDistance(feature=Given(), normalize=True).set_dtype(torch.float64)
    theirs.used_custom_model = True
    for i in range(0, n, 7):
        theirs.update(torch.from_numpy(a[i : i + 7]), real=False)
    theirs.update(torch.from_numpy(b), real=True)
    assert frechet_distance(a, b) == pytest.approx(float(theirs.compute()), rel=1e-6)


def test_kernel_distance_equals_torch_fidelitys_kid(rng):
    a, b = rng.standard_normal((50, 30)), rng.standard_normal((50, 30)) * 1.2 + 0.3
    sets = torch.from_numpy(a), torch.from_numpy(b)
    theirs = kid_features_to_metric(*sets, kid_subsets=1, kid_subset_size=50, verbose=False)  # all in one subset
    assert kernel_distance(a, b) == pytest.approx(theirs[KEY_METRIC_KID_MEAN], rel=1e-6)


class Towers(torch.nn.Module):
    """open_clip's towers where torchmetrics expects those of transformers."""

    def __init__(self, model):
        super().__init__()
        self.model, self.config = model.model, object()

    def get_image_features(self, pixels):
        return self.model.encode_image(pixels)

    def get_text_features(self, ids, _mask):
        return self.model.encode_text(ids)


def test_clip_score_equals_torchmetrics_functional_on_the_same_model():
    model, prompt = load("world"), "a red circle falls on a black background"
    clip = world_clip(ObjectFacts("red", "circle", "falls"))
    frames = clip.frames[np.unique(np.linspace(0, 16, 8).round().astype(int))]

    def processor(images=None, text=None, **_):
        if images is not None:
            pictures = [Image.fromarray(i.permute(1, 2, 0).numpy()) for i in images]
            return {"pixel_values": torch.stack([model.transform(p) for p in pictures])}
        ids = [(model._words.encode(t).ids + [0] * model.context_length)[: model.context_length] for t in text]
        return {"input_ids": torch.tensor(ids), "attention_mask": torch.ones(len(ids), model.context_length)}

    with torch.inference_mode():
        theirs = torchmetrics_clip_score(
            [torch.from_numpy(f.copy()).permute(2, 0, 1) for f in frames],
            [prompt] * len(frames),
            lambda: (Towers(model), processor),
        )
    metric = create("clip_score")
    ours = metric.score(view_of(clip.frames, prompt=prompt))["clip_score"].value
    assert ours == pytest.approx(float(theirs), abs=1e-4)
    assert f"|text:{model.context_length}-tokens-with-end|" in metric.signature
    assert "|frames:8-even|" in metric.signature


def test_a_prompt_is_cut_at_the_context_and_keeps_its_end(monkeypatch):
    model, seen = load("world"), []
    encode = model.model.encode_text
    monkeypatch.setattr(model.model, "encode_text", lambda ids, **k: seen.append(ids) or encode(ids, **k))
    words = "a red circle falls on a black background " * 20
    whole = Tokenizer.from_file(str(world_clip_folder() / "tokenizer.json")).encode(words).ids
    assert len(whole) > model.context_length
    model.embed_text(words)
    assert seen[0].tolist() == [[*whole[: model.context_length - 1], whole[-1]]]


def test_clip_score_of_a_set_is_cut_at_0_after_the_mean_as_torchmetrics_does():
    """torchmetrics of cosines .217, -.144, .059: 4.4; the mean of scores that are cut one by one would be 9.2."""
    metric = create("clip_score")
    metric.update([{"clip_score": v} for v in (21.7, -14.4, 5.9)])
    assert float(metric.compute()) == pytest.approx(4.4)
    assert metric.outputs[0].cut(-3.0) == 0.0
    assert clip_score(np.float32([[-1, 0]]), np.float32([1, 0])) == -100.0


def test_vbench_flicker_on_hand_made_clips():
    frames = np.zeros((4, 8, 8, 3), np.uint8)
    frames[1::2, :4] = 100  # half of the pixels, up and down: a mean difference of 50
    assert temporal_flickering(frames) == pytest.approx((255 - 50) / 255)
    ramp = np.arange(5, dtype=np.uint8)[:, None, None, None].repeat(8, 1).repeat(8, 2).repeat(3, 3) * 10
    assert temporal_flickering(ramp) == pytest.approx((255 - 10) / 255)


def test_worldscores_uint8_wrap_around_is_not_ours():
    """A shift of +16 wraps bright pixels to dark ones in uint8 arithmetic; the squared difference must be 16^2."""
    frame = np.arange(0, 240, dtype=np.uint8).reshape(1, 12, 20, 1).repeat(3, 3)
    clip = np.concatenate([frame, frame + 16])
    assert temporal_flickering(clip) == pytest.approx((255 - 16) / 255)
    assert temporal_flickering(clip[::-1]) == pytest.approx((255 - 16) / 255)
    flat = np.full((2, 128, 128, 3), 250, np.uint8)
    flat[1] = 10  # a difference of 240, which uint8 would call 16
    assert PairWarping()(view_of(flat).clip)[0, 0] == pytest.approx((240 / 255) ** 2, rel=1e-5)


def test_common_metrics_negative_fvd_of_identical_sets_is_not_ours(rng):
    for n, d in ((8, 400), (64, 400), (500, 40)):
        a = 10 * rng.standard_normal((n, d)) + 100
        assert 0 <= frechet_distance(a, a) < 1e-6
        assert 0 <= frechet_distance(a, a + 1e-9) < 1e-6


def test_fvmds_negative_self_distance_is_not_ours(rng):
    """FVMD adds eps inside the root only; nothing is added here, whichever form computes the distance."""
    a = rng.standard_normal((200, 6))
    a[:, 3:] = a[:, :3]  # a singular covariance, which is where eps comes in
    for ridge in (0.0, 1e-6):
        assert 0 <= frechet_distance(a, a, ridge=ridge) < 1e-9


def test_fid_codes_dependence_on_batch_size_is_not_ours(rng):
    made, real = rng.standard_normal((2, 33, 400)).astype(np.float32) * 50 + 500
    values = []
    for batch in (1, 3, 16, 33):
        metric = create("fvd")
        for i in range(0, 33, batch):
            metric.update(made[i : i + batch])
            metric.update(real[i : i + batch], real=True)
        values.append(float(metric.compute()))
    assert values == pytest.approx([values[0]] * 4, rel=1e-12)


def test_cdfvds_reuse_of_statistics_and_resampling_is_not_ours(rng):
    """A second call sees its own clips only, and a short set is taken as it is, not resampled to 2048."""
    first, second, real = rng.standard_normal((3, 12, 400))
    metric = create("fvd")
    values = []
    for made in (first, second):
        metric.reset()
        metric.update(made)
        metric.update(real, real=True)
        values.append(float(metric.compute()))
    assert values == pytest.approx([frechet_distance(first, real), frechet_distance(second, real)], rel=1e-12)
    assert values[0] != values[1]


def test_vbenchs_two_weightings_are_not_mixed():
    """The mean is over clips, each counted once: a long clip weighs no more than a short one, however clips are dealt out."""
    still, jumping = np.array([[1.0, 0.0]] * 9), np.array([[1.0, 0.0], [0.0, 1.0]])
    values = [consistency(f.astype(np.float32)) for f in (still, jumping)]
    metric = create("subject_consistency")
    metric.update([{"subject_consistency": v} for v in values])
    assert float(metric.compute()) == pytest.approx(np.mean(values)) == 0.5


def test_pisas_vanished_objects_are_not_dropped():
    """An object that is gone makes its law worse: NaN is never averaged away."""
    clip = world_clip(ObjectFacts("red", "circle", "falls"))
    gone = clip.frames.copy()
    gone[5:] = np.median(clip.frames, axis=(1, 2), keepdims=True)[5:].astype(np.uint8)
    metric = create("physics_laws")
    whole, part = (metric.score(view_of(f, clip.scene.facts))["physics_laws.permanence"].value for f in (clip.frames, gone))
    assert whole == 1.0
    assert part is not None
    assert part <= 0.5


def test_a_mean_leaves_out_nothing_in_silence():
    """VBench's colour dimension leaves failures out: here a mean knows how many clips it is of."""
    metric = create("temporal_flickering")
    with contextlib.suppress(KeyError):
        metric.update([{"temporal_flickering": 0.5}, {"temporal_flickering": None}, {"temporal_flickering": 1.0}])
    assert float(metric.compute()) == 0.75
    assert int(metric.count) == 2


def test_frames_of_one_clip_do_not_depend_on_their_neighbours():
    """VBench's appearance style keeps the last frame on several GPUs; here the frames that are seen are named and all count."""
    clip = world_clip(ObjectFacts("blue", "square", "moves", "right", "quickly")).frames
    seen = FrameEmbeddings("world", 4)(view_of(clip).clip)
    alone = np.concatenate([load("world").embed_images(clip[[i]]) for i in (0, 5, 11, 16)])
    assert np.abs(seen - alone).max() <= 1e-6
    text = load("world").embed_text("a blue square")
    assert clip_score(seen, text) == pytest.approx(np.mean([clip_score(s[None], text) for s in seen]), rel=1e-6)
