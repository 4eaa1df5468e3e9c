"""NaViT packing: nothing is lost, nothing is moved, nothing is shared."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from reference_model import patchify

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
    packs = patchify.pack(shapes, lengths, 9, patchify.best_fit([len(t) for t in tokens], 64))
    for a, b in zip(packs.scatter(packs.gather(tokens)), tokens, strict=True):
        assert np.array_equal(a, b)
    for clip, length in enumerate(lengths):
        rows = packs.text_index[packs.text_clip == clip]
        assert rows.tolist() == list(range(clip * 9, clip * 9 + length))
        assert (packs.clip == clip).sum() == len(tokens[clip])
