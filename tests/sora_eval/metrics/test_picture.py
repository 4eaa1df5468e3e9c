"""Picture quality without a reference: NIQE's features against the published steps, graded damage, and scores from files."""

from itertools import pairwise

import numpy as np
import onnx
import pytest
import scipy.ndimage
import torch
from onnx import TensorProto, helper
from safetensors.torch import save_file
from scipy.special import gamma
from scipy.stats import spearmanr

from sora_eval.features.image_text import FrameEmbeddings
from sora_eval.features.scene_statistics import (
    SceneStatistics,
    asymmetric_fit,
    contrast_features,
    niqe_features,
    patch_side,
)
from sora_eval.metrics.create import create
from sora_eval.records.clip import Clip
from sora_eval.selfcheck.material import open_material
from sora_eval.stats.natural_scene import clip_distances
from sora_eval.util.errors import Undefined, WeightsError
from sora_eval.video.corruptions import STRENGTHS, corrupt
from tests.conftest import view_of

DAMAGES = ("blur", "noise", "jpeg_blocks")


def test_an_asymmetric_fit_is_scikit_videos():
    x = np.random.default_rng(3).standard_normal((96, 96))
    x = np.where(x < 0, 1.7 * x, x)
    shape, left, right, mean = (float(v[0]) for v in asymmetric_fit(x[None]))
    # scikit-video 1.1.11, skvideo.utils.stats.aggd_features(x)[:4]: shape, mean, left, right
    published = (1.986, -0.5649976237802559, 2.4090079625908873, 1.4104376880423326)
    assert (shape, mean, left, right) == pytest.approx(published, rel=1e-12)
    flat = asymmetric_fit(np.zeros((1, 4, 4)))
    assert all(np.isnan(v[0]) for v in flat)


def published_features(image, side):
    """NIQE's steps as its release and BasicSR's port of it have them, patch by patch, with the release's imresize."""
    gam = np.arange(0.2, 10.001, 0.001)
    ratios = gamma(2 / gam) ** 2 / (gamma(1 / gam) * gamma(3 / gam))

    def fit(block):
        left, right = (np.sqrt(np.mean(block[part] ** 2)) for part in (block < 0, block > 0))
        hat = left / right
        moment = np.mean(np.abs(block)) ** 2 / np.mean(block**2)
        norm = moment * (hat**3 + 1) * (hat + 1) / (hat**2 + 1) ** 2
        alpha = gam[np.argmin((ratios - norm) ** 2)]
        width = np.sqrt(gamma(1 / alpha) / gamma(3 / alpha))
        return alpha, left * width, right * width

    def halved(x):
        def cubic(t):
            t = abs(t)
            return 1.5 * t**3 - 2.5 * t**2 + 1 if t <= 1 else -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2 if t < 2 else 0.0

        for _ in range(2):  # rows, then columns
            out = np.zeros((len(x) // 2, x.shape[1]))
            for i in range(len(out)):
                centre = 2 * i + 0.5
                places = np.arange(int(centre - 3.5), int(centre - 3.5) + 8)
                weights = np.array([cubic((p - centre) / 2) for p in places])
                inside = np.where(places < 0, -places - 1, np.where(places >= len(x), 2 * len(x) - 1 - places, places))
                out[i] = weights / weights.sum() @ x[inside]
            x = out.T
        return x

    g = np.exp(-np.square(np.arange(-3, 4)) / (2 * (7 / 6) ** 2))
    window = np.outer(g, g) / g.sum() ** 2
    image = image[: len(image) // side * side, : image.shape[1] // side * side]
    scales = []
    for scale in (1, 2):
        mu = scipy.ndimage.convolve(image, window, mode="nearest")
        sigma = np.sqrt(np.abs(scipy.ndimage.convolve(image**2, window, mode="nearest") - mu**2))
        normalised, s, features = (image - mu) / (sigma + 1), side // scale, []
        for top in range(0, len(image), s):
            for start in range(0, image.shape[1], s):
                block = normalised[top : top + s, start : start + s]
                alpha, left, right = fit(block)
                row = [alpha, (left + right) / 2]
                for shift in ((0, 1), (1, 0), (1, 1), (1, -1)):
                    alpha, left, right = fit(block * np.roll(block, shift, axis=(0, 1)))
                    row += [alpha, (right - left) * gamma(2 / alpha) / gamma(1 / alpha), left, right]
                features.append(row)
        scales.append(features)
        image = halved(image)
    return np.concatenate(scales, axis=1)


def leaves(seed, height=64, width=96, frames=4):
    """A clip that looks natural: textured discs of all sizes over each other (dead leaves, Lee et al. 2001), under a pan."""
    rng = np.random.default_rng(seed)
    canvas = np.zeros((height, width + 16, 3))
    y, x = np.mgrid[:height, : width + 16]
    for _ in range(300):
        radius = min(3 / rng.uniform(0.05, 1) ** 1.0, 40)
        disc = np.square(y - rng.uniform(0, height)) + np.square(x - rng.uniform(0, width + 16)) < radius**2
        texture = scipy.ndimage.gaussian_filter(rng.standard_normal(canvas.shape[:2]), rng.uniform(0.5, 3))
        colour = rng.uniform(30, 225, 3)
        canvas[disc] = (colour + 12 * (texture / texture.std())[..., None])[disc]
    canvas = scipy.ndimage.gaussian_filter(canvas, (0.6, 0.6, 0))
    places = np.linspace(0, 16, frames).round().astype(int)
    return Clip(np.stack([canvas[:, p : p + width] for p in places]).clip(0, 255).astype(np.uint8), 8.0)


def test_niqes_features_are_the_published_ones():
    luma = leaves(0).frames[0].mean(-1)
    assert niqe_features(luma, 32) == pytest.approx(published_features(luma, 32), rel=1e-6, abs=1e-8)


def test_contrast_by_hand():
    flat = contrast_features(np.full((32, 32), 90.0), 16)
    assert flat.shape == (4, 11)
    assert np.allclose(flat, 0)
    steps = np.zeros((32, 32))
    steps[:, 8:] += 10.0  # across a line of the grid
    steps[:, 20:] += 4.0  # and beside it
    on, off = np.expm1(contrast_features(steps, 32))[0, 9:]
    # 3 lines of 32 px on either axis, and 28 rows and columns without one; the step is in one column.
    assert on == pytest.approx(10 / 6)
    assert off == pytest.approx(4 / 56)


def test_patches_fit_the_frame():
    assert [patch_side(*size) for size in ((720, 1280), (192, 192), (48, 48), (24, 40), (16, 16))] == [96, 96, 24, 12, 8]
    with pytest.raises(Undefined, match="short side of 16"):
        SceneStatistics("contrast")(Clip(np.zeros((3, 15, 40, 3), np.uint8), 8.0))
    with pytest.raises(Undefined, match="not flat"):
        SceneStatistics("niqe")(Clip(np.full((3, 32, 32, 3), 9, np.uint8), 8.0))


def responses(clips, reference, damage):
    """Distances (strengths, clips) from no damage to the full one."""
    extractor = SceneStatistics("contrast")
    real = np.stack([extractor(c) for c in reference])
    return np.stack(
        [
            clip_distances("natural-scene", [extractor(corrupt(c, damage, s, str(i))) for i, c in enumerate(clips)], real)
            for s in (0.0, *STRENGTHS)
        ]
    )


def of_the_world(_):
    material = open_material("quick", 9)
    return [material.clip(i) for i in range(9)], [material.reference(i) for i in range(9)]


def natural(_):
    return [leaves(i) for i in range(5)], [leaves(100 + i) for i in range(8)]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("source", [of_the_world, natural])
def test_graded_damage_has_graded_distances(source, damage):
    distances = responses(*source(damage), damage)
    strengths = (0.0, *STRENGTHS)
    assert spearmanr(strengths, distances.mean(1)).statistic >= 0.9
    assert np.mean([spearmanr(strengths, clip).statistic for clip in distances.T]) >= 0.9


def head_file(tmp_path, width=64, seed=0):
    rng = np.random.default_rng(seed)
    weight, bias = torch.from_numpy(rng.standard_normal((1, width)).astype(np.float32)), torch.tensor([0.25])
    save_file({"weight": weight, "bias": bias}, tmp_path / "head.safetensors")
    return tmp_path / "head.safetensors", weight.numpy()[0], 0.25


def test_a_head_scores_the_embeddings(tmp_path):
    view = view_of(leaves(1, 32, 32).frames)
    vectors = view.features(FrameEmbeddings("world", 8)).astype(np.float64)
    path, weight, bias = head_file(tmp_path, vectors.shape[1])
    metric = create("aesthetic", {"head": str(path)})
    assert metric.score(view)["aesthetic"].value == pytest.approx((vectors @ weight + bias).mean())
    assert "|head:linear-" in metric.signature
    assert str(tmp_path) not in metric.signature
    other, _, _ = head_file(tmp_path, vectors.shape[1], seed=1)
    assert create("aesthetic", {"head": str(other)}).signature != metric.signature


def test_laions_improved_head_is_one_linear_layer(tmp_path):
    view = view_of(leaves(1, 32, 32).frames)
    vectors = torch.from_numpy(view.features(FrameEmbeddings("world", 8)))
    torch.manual_seed(0)
    sizes = (vectors.shape[1], 32, 16, 8, 4, 1)
    layers = {i: torch.nn.Linear(*pair) for i, pair in zip((0, 2, 4, 6, 7), pairwise(sizes), strict=True)}
    torch.save({f"layers.{i}.{n}": v for i, m in layers.items() for n, v in m.state_dict().items()}, tmp_path / "head.pth")
    expected = vectors
    for layer in layers.values():
        expected = layer(expected)
    value = create("aesthetic", {"head": str(tmp_path / "head.pth")}).score(view)["aesthetic"].value
    assert value == pytest.approx(float(expected.detach().mean()), abs=1e-5)


def test_what_is_no_head_is_refused_in_one_message(tmp_path):
    view = view_of(leaves(1, 32, 32).frames)
    with pytest.raises(Undefined, match='no head: set head = "FILE"'):
        create("aesthetic").score(view)
    with pytest.raises(WeightsError, match="does not exist; expected 'weight'"):
        create("aesthetic", {"head": str(tmp_path / "gone.pth")})
    save_file({"classifier": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match="holds classifier; expected 'weight'"):
        create("aesthetic", {"head": str(tmp_path / "other.safetensors")})
    save_file({"weight": torch.zeros(2, 8), "bias": torch.zeros(2)}, tmp_path / "two.safetensors")
    with pytest.raises(WeightsError, match="head"):
        create("aesthetic", {"head": str(tmp_path / "two.safetensors")})
    path, _, _ = head_file(tmp_path, 5)
    with pytest.raises(Undefined, match="vectors of 5 numbers, the model gives"):
        create("aesthetic", {"head": str(path)}).score(view)


def mean_network(path, shape, output=1):
    """An ONNX file whose score is 100 x the mean of the picture."""
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["m"], axes=[1, 2, 3] if output == 1 else [2, 3], keepdims=0),
        helper.make_node("Mul", ["m", "hundred"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "mean",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [helper.make_tensor("hundred", TensorProto.FLOAT, [1], [100.0])],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return str(path)


@pytest.mark.parametrize("shape", [["n", 3, "h", "w"], [1, 3, "h", "w"], ["n", 3, 16, 24]])
def test_a_network_scores_frames_from_0_to_1(tmp_path, shape):
    frames = np.repeat(np.arange(0, 200, 20, dtype=np.uint8), 32 * 40 * 3).reshape(10, 32, 40, 3)
    metric = create("imaging_quality", {"network": mean_network(tmp_path / "n.onnx", shape)})
    places = np.linspace(0, 9, 8).round()
    assert metric.score(view_of(frames))["imaging_quality"].value == pytest.approx(100 * (20 * places).mean() / 255, abs=1e-3)
    assert metric.signature.startswith("imaging_quality-not-musiq|network:file|weights:")
    assert ("size:24x16-bicubic" in metric.signature) == (shape[2] == 16)


def test_what_is_no_network_of_pictures_is_refused_in_one_message(tmp_path):
    view = view_of(leaves(1, 32, 32).frames)
    with pytest.raises(Undefined, match='no network: set network = "FILE'):
        create("imaging_quality").score(view)
    with pytest.raises(WeightsError, match="does not exist; expected an ONNX network"):
        create("imaging_quality", {"network": str(tmp_path / "gone.onnx")})
    (tmp_path / "bad.onnx").write_bytes(b"nothing")
    with pytest.raises(WeightsError, match="cannot be read as ONNX"):
        create("imaging_quality", {"network": str(tmp_path / "bad.onnx")})
    with pytest.raises(WeightsError, match=r"takes x: tensor\(float\)"):
        create("imaging_quality", {"network": mean_network(tmp_path / "one.onnx", ["n", 1, "h", "w"])})
    three = create("imaging_quality", {"network": mean_network(tmp_path / "three.onnx", ["n", 3, "h", "w"], output=3)})
    with pytest.raises(Undefined, match="for 4 pictures"):
        three.score(view)
