"""Paired metrics: equal to published formulas, symmetric, exact for equal clips, independent of order."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from sora_eval.features.view import ClipView
from sora_eval.metrics.base import PairMetric
from sora_eval.metrics.create import create_any, create_paired
from sora_eval.metrics.fidelity.networks import LatentFidelity, one_minus_cosine, relative_difference
from sora_eval.metrics.fidelity.pixels import CEILING, psnr, similarities, squared_errors
from sora_eval.records.case import Case, Prompt
from sora_eval.records.clip import Clip
from sora_eval.registry.paired_metrics import PAIRED, paired_specs
from sora_eval.registry.targets import load_target
from sora_eval.util.errors import RegistryError, SuiteError, Undefined, WeightsError
from tests.runs import moving_square

CASE = Case(Prompt("p", "a red circle falls"), 32, 32, 17, 8.0)
NAMES = list(PAIRED.built_in)


def noisy(frames, amplitude, seed=0):
    """The frames with noise of at most `amplitude` grey levels."""
    noise = np.random.default_rng(seed).integers(-amplitude, amplitude + 1, frames.shape)
    return np.clip(frames.astype(int) + noise, 0, 255).astype(np.uint8)


def view(frames, fps=8.0):
    return ClipView(Clip(np.ascontiguousarray(frames), fps), CASE)


SQUARE = moving_square(32, 32, 17, "red")


def scores(metric, a, b):
    return {name: score.value for name, score in metric.score(view(a), view(b)).items()}


def test_psnr_is_that_of_torchmetrics():
    a, b = SQUARE, noisy(SQUARE, 20)
    published = peak_signal_noise_ratio(torch.from_numpy(b).double(), torch.from_numpy(a).double(), data_range=255.0)
    assert scores(create_paired("fidelity.psnr"), a, b)["fidelity.psnr"] == pytest.approx(float(published), abs=1e-5)


def skimage_ssim(a, b):
    """scikit-image's structural_similarity(gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255) of
    one channel: its formula, written anew."""
    x, y = a.astype(float), b.astype(float)

    def mean(values):
        return gaussian_filter(values, 1.5, truncate=3.5)

    ux, uy = mean(x), mean(y)
    vx, vy, vxy = mean(x * x) - ux * ux, mean(y * y) - uy * uy, mean(x * y) - ux * uy
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    values = (2 * ux * uy + c1) * (2 * vxy + c2) / ((ux**2 + uy**2 + c1) * (vx + vy + c2))
    return values[5:-5, 5:-5].mean()


def test_ssim_is_that_of_scikit_image_and_of_torchmetrics_inside_the_border():
    a, b = SQUARE[:3], noisy(SQUARE[:3], 20)
    ours = similarities(a, b)
    for t in range(3):
        assert ours[t] == pytest.approx(np.mean([skimage_ssim(a[t, ..., c], b[t, ..., c]) for c in range(3)]), abs=1e-10)
        pair = [torch.from_numpy(f[t : t + 1]).double().permute(0, 3, 1, 2) for f in (b, a)]
        _, image = structural_similarity_index_measure(*pair, data_range=255.0, return_full_image=True)
        assert ours[t] == pytest.approx(float(image[..., 5:-5, 5:-5].mean()), abs=1e-10)


@given(st.integers(1, 3), st.integers(1, 6), st.integers(1, 6), st.integers(0, 2**31))
def test_squared_errors_are_exact_and_symmetric(frames, height, width, seed):
    a, b = np.random.default_rng(seed).integers(0, 256, (2, frames, height, width, 3)).astype(np.uint8)
    expected = np.square(a.astype(np.float64) - b).reshape(frames, -1).mean(1)
    np.testing.assert_allclose(squared_errors(a, b), expected, rtol=1e-12)
    assert squared_errors(a, b).tolist() == squared_errors(b, a).tolist()


@given(st.floats(0, 255**2))
def test_psnr_falls_with_the_error_and_is_finite(mse):
    assert 0 <= psnr(mse) <= CEILING
    assert psnr(mse + 1) <= psnr(mse)


def test_one_step_of_one_value_is_below_the_ceiling_and_exact_in_the_detail():
    changed = SQUARE.copy()
    changed[5, 3, 3, 1] += 1
    score = create_paired("fidelity.psnr").score(view(SQUARE), view(changed))
    assert score["fidelity.psnr"].value < score["fidelity.psnr.worst"].value + 20 < CEILING + 20
    assert score["fidelity.psnr"].detail["mse"] == pytest.approx(1 / SQUARE.size, rel=1e-12)
    assert score["fidelity.psnr.worst"].detail["frame"] == 5


@pytest.mark.i3d
@pytest.mark.parametrize("name", NAMES)
def test_a_clip_and_itself_have_the_declared_value_and_no_pair_is_closer(name):
    metric = create_any(name)
    assert isinstance(metric, PairMetric)
    best = scores(metric, SQUARE, SQUARE)
    assert best == metric.identical == {o.name: metric.identical[o.name] for o in metric.outputs}
    there = scores(metric, SQUARE, noisy(SQUARE, 30))
    back = scores(metric, noisy(SQUARE, 30), SQUARE)
    for output in metric.outputs:
        assert there[output.name] == pytest.approx(back[output.name], abs=1e-6)
        assert (there[output.name] < best[output.name]) == output.higher_is_better


@pytest.mark.i3d
@pytest.mark.parametrize("name", NAMES)
def test_more_noise_is_farther(name):
    metric = create_any(name)
    values = [scores(metric, SQUARE, noisy(SQUARE, amplitude)) for amplitude in (4, 16, 64)]
    for output in metric.outputs:
        ordered = [v[output.name] * (-1 if output.higher_is_better else 1) for v in values]
        assert ordered == sorted(ordered)


def test_the_mean_over_pairs_does_not_depend_on_their_order_or_on_how_they_come():
    pairs = [(view(SQUARE), view(noisy(SQUARE, a, seed=a))) for a in (1, 5, 9, 30)]
    one, other = create_paired("fidelity.ssim"), create_paired("fidelity.ssim")
    one.update([a for a, _ in pairs], [b for _, b in pairs])
    for a, b in reversed(pairs):
        other.update(a, b)
    np.testing.assert_allclose(one.compute().numpy(), other.compute().numpy(), atol=1e-12)


vectors = st.lists(st.floats(-5, 5).filter(lambda v: abs(v) > 1e-3), min_size=3, max_size=3).map(np.array)


@settings(max_examples=50)
@given(vectors, vectors, st.floats(0.1, 10))
def test_distances_of_vectors(a, b, scale):
    cosine = float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    assert one_minus_cosine(a, b) == pytest.approx(1 - cosine, abs=1e-9)
    assert one_minus_cosine(scale * a, b) == pytest.approx(one_minus_cosine(a, b), abs=1e-9)
    assert relative_difference(a, b) == pytest.approx(relative_difference(scale * a, scale * b), abs=1e-9)
    assert 0 <= relative_difference(a, b) == relative_difference(b, a) <= 2


def test_what_cannot_be_compared_says_why(tmp_path):
    with pytest.raises(Undefined, match="10x8 px; the window of SSIM needs at least 11x11"):
        similarities(np.zeros((1, 8, 10, 3), np.uint8), np.zeros((1, 8, 10, 3), np.uint8))
    with pytest.raises(Undefined, match="temporal metric needs at least 2"):
        create_paired("fidelity.flow").score(view(SQUARE[:1]), view(SQUARE[:1]))
    with pytest.raises(WeightsError, match="does not exist; expected an ONNX file"):
        LatentFidelity(str(tmp_path / "gone.onnx"))
    (tmp_path / "bad.onnx").write_bytes(b"no graph")
    with pytest.raises(WeightsError, match="cannot be read as ONNX"):
        LatentFidelity(str(tmp_path / "bad.onnx"))
    with pytest.raises(RegistryError, match=r"did you mean 'fidelity\.ssim'"):
        paired_specs(("fidelity.sim",))
    with pytest.raises(SuiteError, match="'weights' is not an option"):
        paired_specs(("fidelity.latent?weights=x",))


@pytest.mark.parametrize("name", NAMES)
def test_the_table_names_the_outputs_of_the_class(name):
    info = PAIRED.info(name)
    loaded = load_target(info.target)
    assert (info.outputs or (name,)) == tuple(o.name for o in loaded.outputs)
    assert info.kind == loaded.kind == "paired"
    assert info.family == loaded.family
    assert info.invariant_to == loaded.invariant_to
