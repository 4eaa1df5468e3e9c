"""Metrics equal their published definitions and depend on the clips alone."""

from types import SimpleNamespace

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image

from reference_model.world import Facts, ObjectFacts
from sora_eval.features.flow import PairMotion, PairWarping
from sora_eval.features.image_text import ClipModel, FrameEmbeddings, load
from sora_eval.features.view import FeatureCache
from sora_eval.metrics import temporal
from sora_eval.metrics.base import ClipMetric, SetMetric
from sora_eval.metrics.create import create
from sora_eval.metrics.temporal import consistency, temporal_flickering
from sora_eval.metrics.text import clip_score, retrieval_rank
from sora_eval.records.case import Prompt
from sora_eval.registry.metrics import METRICS
from sora_eval.util.errors import Undefined, WeightsError
from sora_eval.util.weights import world_clip as world_clip_folder
from tests.conftest import view_of, world_clip
from tests.tiny_clip import save_clip


@pytest.fixture(scope="module")
def views():
    motions = [
        ("red", "falls", None, None),
        ("blue", "moves", "left", "slowly"),
        ("green", "falls", None, None),
        ("yellow", "rests", None, None),
        ("magenta", "moves", "down", "quickly"),
    ]
    out = []
    for i, (colour, motion, direction, speed) in enumerate(motions):
        clip = world_clip(ObjectFacts(colour, "circle", motion, direction, speed), seed=i)
        out.append(view_of(clip.frames, clip.scene.facts, f"a {colour} circle on a black background"))
    return out


@pytest.mark.parametrize("name", list(METRICS.built_in))
def test_every_metric_says_what_it_is(name):
    metric = create(name)
    assert metric.signature.startswith(name.split(".")[0])
    assert isinstance(metric, ClipMetric if METRICS.built_in[name].kind == "per-clip" else SetMetric)
    assert metric.higher_is_better == metric.outputs[0].higher_is_better
    for output in metric.outputs:
        assert output.name.split(".")[0] == name
        assert output.unit
    assert type(metric).__doc__


def test_flickering_by_hand():
    frames = np.zeros((3, 4, 4, 3), np.uint8)
    frames[1] = 255  # up and down again: the mean difference is 255, which uint8 must not wrap
    assert temporal_flickering(frames) == 0.0
    frames[1] = 51
    assert temporal_flickering(frames) == pytest.approx(0.8)
    assert temporal_flickering(frames[:1].repeat(3, 0)) == 1.0


def test_warping_error_forgives_motion_but_not_flicker(rng):
    texture = np.asarray(Image.fromarray(rng.integers(0, 256, (40, 60, 3), dtype=np.uint8)).resize((240, 160), 3))
    panning = np.stack([texture[16:144, 16 + 2 * t : 176 + 2 * t] for t in range(6)])
    flicker = panning.astype(int) + np.array([0, 40, 0, 40, 0, 40])[:, None, None, None]
    errors = [PairWarping()(view_of(v.clip(0, 255).astype(np.uint8)).clip)[:, 0].mean() for v in (panning, flicker)]
    naive = np.square(np.diff(panning / 255.0, axis=0)).mean()
    assert errors[0] < naive / 3
    assert errors[1] > 5 * errors[0]
    still = PairWarping()(view_of(panning[:1].repeat(3, 0)).clip)
    assert np.allclose(still, [0.0, 1.0])


def test_a_still_picture_cannot_win_dynamic_degree():
    moving = view_of(world_clip(ObjectFacts("red", "circle", "moves", "right", "quickly")).frames)
    still = view_of(moving.clip.frames[:1].repeat(17, 0))
    metric = create("dynamic_degree")
    assert metric.score(moving)["dynamic_degree"].value == 1.0
    scores = metric.score(still)
    assert scores["dynamic_degree"].value == 0.0
    assert scores["dynamic_degree.magnitude"].value == pytest.approx(0.0, abs=1e-3)


def test_motion_is_measured_at_about_eight_frames_a_second():
    clip = world_clip(ObjectFacts("red", "circle", "moves", "right", "slowly")).frames
    tripled = np.repeat(clip, 3, axis=0)
    assert np.allclose(PairMotion()(view_of(tripled, fps=24.0).clip), PairMotion()(view_of(clip).clip))


def test_clip_score_equals_torchmetrics_definition_on_the_same_model(views):
    """The lines of torchmetrics' clip_score, with open_clip's towers in a batch in place of transformers'."""
    model = load("world")
    view = views[0]
    frames = view.clip.frames[np.unique(np.linspace(0, 16, 8).round().astype(int))]
    own = clip_score(view.features(FrameEmbeddings("world", 8)), model.embed_text(view.case.prompt.text))
    images = torch.stack([model.transform(Image.fromarray(f)) for f in frames])
    with torch.inference_mode():
        image = model.model.encode_image(images)
        ids = model._words.encode(view.case.prompt.text).ids
        text = model.model.encode_text(torch.tensor([(ids + [0] * 48)[:48]]))
        image, text = (x / x.norm(p=2, dim=-1, keepdim=True) for x in (image, text))
        expected = float((100 * (image * text).sum(-1)).mean())
    assert own == pytest.approx(expected, abs=1e-3)


def test_clip_preprocessing_is_open_clips_own():
    _, transform = open_clip.create_model_from_pretrained(f"local-dir:{world_clip_folder()}")
    frame = world_clip(ObjectFacts("red", "circle", "falls"), size=(24, 40)).frames[3]
    assert torch.equal(load("world").transform(Image.fromarray(frame)), transform(Image.fromarray(frame)))


def test_retrieval_counts_a_tie_as_a_miss_and_a_constant_clip_cannot_win():
    own, other = np.array([1.0, 0.0]), np.array([[0.0, 1.0], [1.0, 0.0]])
    assert retrieval_rank(np.array([[1.0, 0.0]]), own, other[:1]) == 1
    assert retrieval_rank(np.array([[1.0, 0.0]]), own, other) == 2
    metric, black = create("clip_retrieval"), np.zeros((5, 32, 32, 3), np.uint8)
    prompts = [f"a {c} circle" for c in ("red", "green", "blue", "cyan")]
    metric.prepare([Prompt(p, p) for p in prompts])
    wins = sum(metric.score(view_of(black, prompt=p))["clip_retrieval"].value for p in prompts)
    assert wins <= 1


def test_prompts_that_are_one_to_the_tokenizer_have_no_retrieval_score():
    metric = create("clip_retrieval")
    metric.prepare([Prompt(p, p) for p in ("a red circle", "A RED circle", "a green circle")])
    frames = np.zeros((5, 32, 32, 3), np.uint8)
    for text, twin in (("a red circle", "A RED circle"), ("A RED circle", "a red circle")):
        with pytest.raises(Undefined, match=f"is the same as '{twin}'"):
            metric.score(view_of(frames, prompt=text))
    assert metric.score(view_of(frames, prompt="a green circle"))["clip_retrieval"].value in (0.0, 1.0)


def test_a_prompt_that_is_cut_is_noted():
    clip, long = np.zeros((5, 32, 32, 3), np.uint8), "a red circle falls " * 20
    score = create("clip_score").score(view_of(clip, prompt=long))["clip_score"]
    assert score.reason == "the prompt is longer than the model's context of 48 tokens and cut"
    assert not create("clip_score").score(view_of(clip, prompt="a red circle falls"))["clip_score"].reason


@pytest.mark.parametrize("text", [{"context_length": 40}, {"tokenizer_kwargs": {"clean": "canonicalize"}}])
def test_a_folder_without_a_tokenizer_file_has_the_tokenizer_that_open_clip_gives_it(text, tmp_path):
    model, prompt = ClipModel(str(save_clip(tmp_path / "own", **text))), "A red circle, it's FALLING! " * 20
    ids = open_clip.get_tokenizer(f"local-dir:{tmp_path / 'own'}", context_length=model.context_length)([prompt])
    with torch.inference_mode():
        expected = model.model.encode_text(ids, normalize=True)[0].numpy()
    assert np.allclose(model.embed_text(prompt), expected, atol=1e-6)
    assert model.is_cut(prompt)
    assert not model.is_cut("A red circle, it's FALLING!")


def test_words_that_a_closed_vocabulary_lacks_give_no_score():
    with pytest.raises(Undefined, match="lacks: bobsled"):
        create("clip_score").score(view_of(np.zeros((2, 32, 32, 3), np.uint8), prompt="a red bobsled"))


def test_any_local_open_clip_model_can_be_used(tmp_path):
    """An architecture of open_clip with weights from a file: the same code as for a pretrained tag."""
    model = open_clip.create_model("ViT-S-32-alt")
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    metric = create("clip_score", {"model": f"ViT-S-32-alt:{tmp_path / 'weights.pt'}", "frames": 2})
    score = metric.score(view_of(np.full((3, 50, 70, 3), 90, np.uint8), prompt="any words at all"))["clip_score"].value
    assert -100 <= score <= 100
    assert "ViT-S-32-alt" in metric.signature


def test_features_are_cached_by_content_and_never_by_name(tmp_path, rng):
    calls = []

    class Mean:
        cached, signature = True, "mean|1"

        def __call__(self, clip):
            calls.append(clip.sha256)
            return clip.frames.mean((0, 1, 2))

    cache, extractor = FeatureCache(tmp_path), Mean()
    a, b = (view_of(rng.integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)).clip for _ in range(2))
    assert np.array_equal(cache.get(a, extractor), cache.get(a, extractor))
    assert len(calls) == 1
    assert not np.array_equal(cache.get(b, extractor), cache.get(a, extractor))
    extractor.signature = "mean|2"  # other weights or protocol
    cache.get(a, extractor)
    assert len(calls) == 3
    next(tmp_path.rglob("*.npz")).write_bytes(b"torn")
    for clip in (a, b):
        assert np.array_equal(cache.get(clip, extractor), clip.frames.mean((0, 1, 2)))


def test_consistency_by_vbenchs_formula():
    features = np.array([[1, 0], [0.6, 0.8], [-1, 0]], np.float32)
    # Frame 1: 0.6 to both; frame 2: max(0, -0.6) to the last one and max(0, -1) to the first.
    assert consistency(features) == pytest.approx(((0.6 + 0.6) / 2 + 0) / 2)
    with pytest.raises(Undefined):
        consistency(features[:1])


def test_a_jumping_clip_is_less_consistent_and_less_smooth_than_a_moving_one():
    clip = world_clip(ObjectFacts("blue", "square", "moves", "right", "slowly"), size=(48, 48))
    other = world_clip(ObjectFacts("red", "circle", "floats"), size=(48, 48), seed=3)
    jumping = clip.frames.copy()
    jumping[5::6] = other.frames[5::6]
    for name in ("subject_consistency", "background_consistency", "motion_smoothness"):
        values = [
            create(name).score(view_of(frames))[name].value for frames in (clip.frames[:1].repeat(17, 0), clip.frames, jumping)
        ]
        assert values[0] == pytest.approx(1.0, abs=1e-6)  # a still picture wins: read them beside dynamic_degree
        assert values[0] >= values[1] > values[2]


def test_motion_smoothness_names_the_frame_that_breaks_the_motion():
    clip = world_clip(ObjectFacts("blue", "square", "moves", "right", "slowly"), size=(48, 48))
    frames = clip.frames.copy()
    frames[7] = np.roll(frames[7], 12, axis=0)
    assert create("motion_smoothness").score(view_of(frames))["motion_smoothness"].detail["worst_frame"] == 7
    with pytest.raises(Undefined, match="2 frames; interpolation needs at least 3"):
        create("motion_smoothness").score(view_of(frames[:2]))


def test_any_timm_network_can_look_at_frames(tmp_path):
    import timm

    torch.manual_seed(0)
    model = timm.create_model("test_vit", num_classes=0)
    torch.save(model.state_dict(), tmp_path / "w.pth")
    metric = create("subject_consistency", {"model": f"timm:test_vit:{tmp_path / 'w.pth'}"})
    clip = world_clip(ObjectFacts("blue", "square", "moves", "right", "slowly"))
    assert 0 < metric.score(view_of(clip.frames))["subject_consistency"].value <= 1
    assert "timm:test_vit|weights:" in metric.signature
    with pytest.raises(WeightsError, match="timm has no model 'no_such_net'"):
        create("subject_consistency", {"model": "timm:no_such_net"})
    with pytest.raises(WeightsError, match="has no text tower"):
        create("clip_score", {"model": f"timm:test_vit:{tmp_path / 'w.pth'}"})


def test_the_recaptioner_reads_facts_back():
    right = world_clip(ObjectFacts("blue", "square", "moves", "right", "slowly"), size=(48, 48))
    metric = create("caption_facts")
    score = metric.score(view_of(right.frames, right.scene.facts))["caption_facts"]
    assert score.value > 0.7
    other = Facts((ObjectFacts("green", "circle", "falls"), ObjectFacts("red", "circle", "falls")), "silver")
    assert metric.score(view_of(right.frames, other))["caption_facts"].value < 0.3
    assert "blue" in score.detail["caption"]
    with pytest.raises(Undefined, match="no facts to read back"):
        metric.score(view_of(right.frames))


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("motion_smoothness", "motion_smoothness-not-amt"),
        ("dynamic_degree", "dynamic_degree-not-raft"),
        ("subject_consistency", "subject_consistency-not-dino"),
        ("background_consistency", "background_consistency-not-clip-b32"),
        ("temporal_flickering", "temporal_flickering"),  # it has no network
    ],
)
def test_a_name_of_vbench_without_its_network_says_so_first(name, first):
    assert create(name).signature.partition("|")[0] == first


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("dynamic_degree", {"flow": "raft"}),
        ("subject_consistency", {"model": "timm:vit_base_patch16_224.dino"}),
        ("subject_consistency", {"model": "timm:vit_base_patch16_224.dino:dino.safetensors"}),
        ("background_consistency", {"model": "ViT-B-32:openai"}),
    ],
)
def test_a_name_of_vbench_with_its_network_stands_alone(name, options, monkeypatch):
    for extractor in ("FrameEmbeddings", "PairMotion"):  # the weights are large, and their hash is in another word
        monkeypatch.setattr(temporal, extractor, lambda *_: SimpleNamespace(signature="network"))
    assert create(name, options).signature.split("|")[0] == name
