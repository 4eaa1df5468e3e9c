"""Each defect that public projects have shipped, as a property of these networks."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from reference_model.config import PRESETS
from reference_model.networks import flow
from reference_model.networks.layers import Attention, rope_angles, rotate
from reference_model.networks.text import TextEncoder, tokenize
from reference_model.networks.vae import VAE
from reference_model.onnx.specs import dit_inputs
from reference_model.packing.patchify import pack, positions
from reference_model.training.denoising import Denoiser

TINY = PRESETS["tiny"]


@pytest.fixture(scope="module")
def dit():
    """A DiT whose zero-initialised parts are random, so that every path counts."""
    torch.manual_seed(0)
    model = Denoiser(TINY).dit.eval()
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.2)
    return model


def run(dit, grids, groups, inputs, pad_to=0, known=None):
    """Outputs a clip, of clips whose tokens, text and time are `inputs[i]`."""
    lengths = [len(i["text"]) for i in inputs]
    width = max(lengths)
    packs = pack([positions(g) for g in grids], lengths, width, groups, pad_to, known)
    text = np.zeros((len(grids), width, TINY.text.width), np.float32)
    for row, i in zip(text, inputs, strict=True):
        row[: len(i["text"])] = i["text"]
    arrays = (
        packs.gather([i["tokens"] for i in inputs]),
        packs.clip,
        packs.state,
        packs.position,
        packs.times(np.array([i["time"] for i in inputs], np.float32)),
        np.array(grids, np.int64)[packs.state_clip],
        np.stack([i["pooled"] for i in inputs])[packs.state_clip],
        text,
        packs.text_index,
        packs.text_clip,
    )
    with torch.inference_mode():
        return packs.scatter(dit(*(torch.from_numpy(a) for a in arrays)).numpy())


def clip_inputs(grid, seed):
    rng = np.random.default_rng(seed)
    n = int(np.prod(grid))
    return {
        "tokens": rng.standard_normal((n, 32), np.float32),
        "time": rng.random(),
        "text": rng.standard_normal((3 + seed % 3, TINY.text.width), np.float32),
        "pooled": rng.standard_normal(TINY.text.width, np.float32),
    }


def test_a_clip_in_a_pack_equals_the_clip_alone_and_neighbours_and_pads_change_nothing(dit):
    grids = [(2, 3, 4), (1, 4, 4), (3, 2, 2)]
    inputs = [clip_inputs(g, i) for i, g in enumerate(grids)]
    alone = run(dit, grids[:1], [[0]], inputs[:1])[0]
    packed = run(dit, grids, [[1, 0, 2]], inputs)[0]
    padded = run(dit, grids, [[0], [2, 1]], inputs, pad_to=90)[0]
    other = run(dit, grids, [[1, 0, 2]], [inputs[0], clip_inputs(grids[1], 77), clip_inputs(grids[2], 78)])[0]
    for out in (packed, padded, other):
        assert np.abs(out - alone).max() <= 1e-5


def test_a_continued_clip_in_a_pack_equals_the_clip_alone_and_known_tokens_matter(dit):
    grids = [(3, 2, 3), (2, 3, 4)]
    inputs = [clip_inputs(g, i) for i, g in enumerate(grids)]
    alone = run(dit, grids[:1], [[0]], inputs[:1], known=[6])[0]
    packed = run(dit, grids, [[1, 0]], inputs, known=[6, 12], pad_to=60)[0]
    assert np.abs(packed - alone).max() <= 1e-5
    assert np.abs(run(dit, grids[:1], [[0]], inputs[:1])[0] - alone).max() > 1e-2  # the time of the known ones counts


def test_attention_equals_naive_attention():
    torch.manual_seed(0)
    attention = Attention(32, 4).double()
    x = torch.randn(2, 7, 32, dtype=torch.float64)
    mask = torch.where(torch.rand(2, 1, 7, 7) > 0.3, 0.0, -1e9).double()
    got = attention(x, x, mask)
    q, (k, v) = attention.q(x), attention.kv(x).chunk(2, -1)
    heads = []
    for h in range(4):
        cut = slice(8 * h, 8 * h + 8)
        qh, kh = attention.norm_q(q[..., cut]), attention.norm_k(k[..., cut])
        heads.append(torch.softmax(qh @ kh.transpose(1, 2) / math.sqrt(8) + mask[:, 0], -1) @ v[..., cut])
    assert torch.allclose(got, attention.out(torch.cat(heads, -1)), atol=1e-9)


def test_rotary_scores_depend_on_differences_of_position_only():
    q, k = torch.randn(1, 1, 1, 32), torch.randn(1, 1, 1, 32)

    def score(a, b):
        at = [rope_angles(torch.tensor([[p]]), (8, 12, 12), 100.0) for p in (a, b)]
        return float((rotate(q, *at[0]) * rotate(k, *at[1])).sum())

    assert score([1, 2, 3], [2, 5, 3]) == pytest.approx(score([4, 0, 7], [5, 3, 7]), abs=1e-5)
    assert score([1, 2, 3], [2, 5, 3]) != pytest.approx(score([1, 2, 3], [2, 3, 5]), abs=1e-3)


def test_adaln_zero_starts_at_zero_velocity_or_at_the_best_linear_guess():
    inputs = dit_inputs(TINY, 1)
    tokens, _, state, _, time = inputs[:5]
    guess = flow.skip(time)[0][state][..., None] * tokens
    for skip, expected in ((False, torch.zeros_like(tokens)), (True, guess)):
        model = Denoiser(replace(TINY, dit=replace(TINY.dit, skip=skip)))
        with torch.inference_mode():
            assert torch.equal(model.dit(*inputs), expected)


def test_padding_of_prompts_changes_no_state():
    torch.manual_seed(0)
    encoder = TextEncoder(TINY.text).eval()
    ids, lengths = tokenize(["a red circle falls", "a blue square moves quickly left on a gray background"])
    with torch.inference_mode():
        states, pooled = encoder(torch.from_numpy(ids))
        alone, pooled_alone = encoder(torch.from_numpy(ids[:1, : lengths[0]]))
    assert torch.allclose(states[0, : lengths[0]], alone[0], atol=1e-6)
    assert torch.allclose(pooled[0], pooled_alone[0], atol=1e-6)


@pytest.mark.parametrize("size", [(8, 16), (24, 40), (16, 8)])
def test_vae_is_causal_and_keeps_sizes(size):
    torch.manual_seed(0)
    vae = VAE(TINY.vae).eval()
    for p in vae.parameters():
        torch.nn.init.normal_(p, std=0.1)
    video = torch.rand(2, 3, 17, *size) * 2 - 1
    with torch.inference_mode():
        whole = vae.encode(video)
        assert whole.shape == (2, 8, 5, size[0] // 4, size[1] // 4)
        for groups in (1, 2, 4):
            prefix = vae.encode(video[:, :, : 4 * groups - 3])
            assert torch.allclose(prefix, whole[:, :, :groups], atol=1e-5)
            decoded = vae.decode(whole[:, :, :groups])
            assert decoded.shape == (2, 3, 4 * groups - 3, *size)
            assert torch.allclose(decoded, vae.decode(whole)[:, :, : 4 * groups - 3], atol=1e-5)
