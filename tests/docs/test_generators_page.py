"""The table of pipeline classes in docs/generators.md."""

from pathlib import Path

import pytest

from docs.pages.generators import Tried, block, tried
from docs.pages.tiny_pipelines import CLASSES
from sora_eval.generators.diffusers.families import NEEDS
from sora_eval.generators.diffusers.latents import LATENTS
from sora_eval.records.capabilities import Capabilities


@pytest.mark.parametrize(
    ("name", "batch", "begins"), [("CogVideoXPipeline", "yes", (0, 0)), ("HunyuanSkyreelsImageToVideoPipeline", "no", (1, 1))]
)
def test_a_class_is_opened_and_run_in_a_suite_of_its_smallest_clips(name, batch, begins, tmp_path):
    row = tried(name, tmp_path)
    assert row.made is not None
    assert (row.made.side, row.made.first_frames, row.batch, row.problem) == (16, begins, batch, "")
    assert row.case.startswith("32x32, 1 and ")


def test_what_is_refused_or_fails_is_in_the_table_with_its_reason():
    refused = Tried("WanPipeline", problem="needs another library")
    failed = Tried("LTXPipeline", Capabilities(32, 8), "yes", "32x32, 1 and 9 frames", "9 frames: ValueError: no")
    text = block([refused, failed])
    assert "needs another library" in text
    assert "| 32k     | 1 + 8k" in text
    assert "32x32, 1 and 9 frames. 9 frames: ValueError: no" in text
    assert "- `LTXPipeline`:" in text


def test_the_page_has_every_class():
    page = Path("docs/generators.md").read_text(encoding="utf-8")
    asked = page.partition("asks these classes for the loss of a clip:")[2].partition(", each")[0]
    assert sorted(asked.strip().replace("\n", " ").replace(" and ", ", ").split(", ")) == sorted(
        name.removesuffix("Pipeline") for name in LATENTS
    )
    assert all(f"| {name} " in page for name in CLASSES)
    assert all(f"`{name}` (" in page for name in NEEDS)
