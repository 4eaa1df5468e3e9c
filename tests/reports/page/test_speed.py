"""Shapes on a grid of 8 px are put where a reader looks for them."""

import pytest

from sora_eval_reports.page import speed


@pytest.mark.parametrize(
    ("size", "name"),
    [((32, 32), "1:1"), ((40, 24), "16:9"), ((24, 40), "9:16"), ((40, 32), "4:3"), ((1920, 1080), "16:9"), ((640, 480), "4:3")],
)
def test_the_nearest_aspect(size, name):
    assert speed.nearest_aspect(*size) == name


def test_near_areas_are_one_resolution():
    assert speed.resolutions([32, 40, 24, 48, 64], [32, 24, 40, 48, 64]) == [32, 32, 32, 48, 64]
