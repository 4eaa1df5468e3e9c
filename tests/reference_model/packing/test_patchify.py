"""NaViT packing: nothing is lost, nothing is moved, nothing is shared."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from reference_model.packing import patchify

grids = st.tuples(st.integers(1, 5), st.integers(1, 7), st.integers(1, 7))


@given(grid=grids, channels=st.integers(1, 8), seed=st.integers(0, 99))
def test_patchify_and_its_inverse_are_the_identity(grid, channels, seed):
    t, h, w = grid
    latent = np.random.default_rng(seed).standard_normal((channels, t, 2 * h, 2 * w)).astype(np.float32)
    tokens = patchify.patchify(latent)
    assert tokens.shape == (t * h * w, 4 * channels)
    assert np.array_equal(patchify.unpatchify(tokens, grid), latent)


def test_token_to_position_table_of_a_grid_that_is_not_square():
    # Tokens of a latent that holds its own coordinates must carry the coordinates of the table.
    grid = (2, 2, 3)
    t, y, x = np.meshgrid(np.arange(2), np.arange(4), np.arange(6), indexing="ij")
    tokens = patchify.patchify(np.stack([t, y // 2, x // 2]).astype(np.float32))
    assert np.array_equal(tokens.reshape(12, 3, 4)[:, :, 0], patchify.positions(grid))
    assert patchify.positions(grid)[:4].tolist() == [[0, 0, 0], [0, 0, 1], [0, 0, 2], [0, 1, 0]]


@given(sizes=st.lists(st.integers(1, 300), min_size=1, max_size=60), open_packs=st.integers(1, 8))
def test_best_fit_places_every_clip_once_and_never_overfills(sizes, open_packs):
    packs = patchify.best_fit(sizes, 256, open_packs)
    assert sorted(c for p in packs for c in p) == list(range(len(sizes)))
    assert all(sum(sizes[c] for c in p) <= 256 or len(p) == 1 for p in packs)


@given(shapes=st.lists(grids, min_size=1, max_size=8), seed=st.integers(0, 99))
def test_packs_give_back_what_was_laid_into_them(shapes, seed):
    rng = np.random.default_rng(seed)
    tokens = [rng.standard_normal((patchify.tokens_of(g), 4)).astype(np.float32) for g in shapes]
    lengths = rng.integers(1, 9, len(shapes)).tolist()
    places = [patchify.positions(g) for g in shapes]
    packs = patchify.pack(places, lengths, 9, patchify.best_fit([len(t) for t in tokens], 64))
    for a, b in zip(packs.scatter(packs.gather(tokens)), tokens, strict=True):
        assert np.array_equal(a, b)
    for clip, length in enumerate(lengths):
        rows = packs.text_index[packs.text_clip == clip]
        assert rows.tolist() == list(range(clip * 9, clip * 9 + length))
        assert (packs.clip == clip).sum() == len(tokens[clip])


@given(shapes=st.lists(grids, min_size=1, max_size=6), data=st.data())
def test_known_tokens_have_a_state_of_their_own_at_time_zero(shapes, data):
    known = [data.draw(st.integers(0, patchify.tokens_of(g))) for g in shapes]
    places = [patchify.positions(g) for g in shapes]
    packs = patchify.pack(places, [2] * len(shapes), 2, [[i] for i in range(len(shapes))], known=known)
    times = packs.times(np.full(len(shapes), 0.7, np.float32))
    for (row, offset, n), k in zip(packs.place, known, strict=True):
        of_token = times[packs.state[row, offset : offset + n]]
        assert (of_token[:k] == 0).all()
        assert (of_token[k:] == np.float32(0.7)).all()
    for i in range(len(shapes)):
        states = packs.state[packs.clip == i]
        assert (packs.state_clip[states] == i).all()


def test_padding_and_masks_of_a_pack_are_counted():
    places = [patchify.positions((1, 2, 2)), patchify.positions((1, 2, 3))]
    packs = patchify.pack(places, [1, 1], 1, [[0, 1]], pad_to=16)
    assert packs.padding == 6 / 16
    assert packs.mask_overhead == 1 - (4 * 4 + 6 * 6) / 16**2


def test_a_slow_fade_is_cut_into_runs_of_bounded_error():
    # Each frame differs from the one before by a single grey level: neighbours never differ, the clip does.
    frames = np.arange(1, 34, dtype=np.uint8)[:, None, None, None] * np.ones((1, 8, 8, 3), np.uint8)
    run = patchify.runs(frames, threshold=6)
    assert 1 < (run > 0).sum() < len(run)
    assert held_error(frames, run) <= 6
    assert (patchify.runs(frames, threshold=-1) == 1).all()


def test_an_edge_of_two_pixels_is_not_dropped():
    frames = np.zeros((5, 16, 16, 3), np.uint8)
    frames[2, 3, 3:5] = 60  # a mean over the patch would be below one grey level
    assert patchify.runs(frames, threshold=8)[1, 0, 0] == 1
    assert patchify.runs(frames, threshold=8)[1, 1, 1] == 0


@given(seed=st.integers(0, 999), groups=st.integers(1, 7), threshold=st.floats(0, 60), max_run=st.integers(1, 5))
def test_runs_cover_every_tubelet_and_a_prefix_keeps_the_same(seed, groups, threshold, max_run):
    rng = np.random.default_rng(seed)
    still = rng.integers(0, 256, (1, 16, 24, 3))
    frames = np.clip(still + rng.integers(-20, 21, (4 * groups - 3, 1, 1, 1)), 0, 255).astype(np.uint8)
    run = patchify.runs(frames, threshold, max_run)
    assert (run.sum(0) == groups).all()
    assert (run[0] > 0).all()
    assert run.max() <= max_run
    assert held_error(frames, run) <= threshold
    for shorter in range(1, groups):  # what is kept does not depend on what comes later
        prefix = patchify.runs(frames[: 4 * shorter - 3], threshold, max_run)
        assert np.array_equal(prefix > 0, run[:shorter] > 0)


def held_error(frames, run):
    """The largest grey-level difference when a dropped tubelet shows the last frame of the one that stands for it."""
    blocks = patchify.tubelets(frames).astype(int)
    worst = 0
    for y, x in np.ndindex(run.shape[1:]):
        for group in range(len(run)):
            if run[group, y, x]:
                held = blocks[group, y, x, -1]
            else:
                worst = max(worst, np.abs(blocks[group, y, x] - held).max())
    return worst
