"""The page as it is read: families first, clips a click away, nothing that a reader has to fight. In headless Chromium."""

import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from sora_eval.cli import app
from sora_eval.gate.gate_run import gate_run
from sora_eval.records.clip import Clip
from sora_eval.runs.rows import SampleRow
from sora_eval.suite import Gate
from sora_eval.video.codec import read_clip
from sora_eval_reports.page import page as html
from sora_eval_reports.page import videos
from sora_eval_reports.page.summary import SPARK, spark, table_of_runs
from sora_eval_reports.source import open_source
from tests.reports import chromium
from tests.runs import drawn_run, make_run

needs_chromium = pytest.mark.skipif(chromium.binary() is None, reason="no Chromium: apt-get install chromium")


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Pages of one run, of two, of ten, and of one that a gate found REGRESSED in one row and INCONCLUSIVE in another."""
    root = tmp_path_factory.mktemp("pages")
    steps = range(500, 5500, 500)
    runs = [drawn_run(root, f"r{i}", checkpoint=f"ck{i}", steps=s, shift=0.2 * i - 0.6, seed=i) for i, s in enumerate(steps)]
    files = {}
    for count in (1, 2, 10):
        files[count] = root / f"{count}.html"
        files[count].write_text(html.render(open_source([r.path for r in runs[:count]]), clips=8), encoding="utf-8")
    gates = {m: Gate(max_decrease=5.0) for m in ("physics_laws.permanence", "object_facts.velocity_error")}
    noise = np.random.default_rng(0).normal(0, 4, 24)
    moved = (dict.fromkeys(gates, 0.0), dict(zip(gates, (-2.0, noise), strict=True)))
    judged = [
        make_run(root / f"judged{i}", {m: 10.0 + by[m] + np.zeros(24) for m in gates}, gates=gates)
        for i, by in enumerate(moved)
    ]
    assert {r.verdict for r in gate_run(judged[1], judged[0].path).rows} == {"REGRESSED", "INCONCLUSIVE"}
    files["gate"] = root / "gate.html"
    files["gate"].write_text(html.render(open_source([judged[1].path])), encoding="utf-8")
    return files


@pytest.fixture(scope="module")
def browser():
    with chromium.browser() as started:
        yield started


@needs_chromium
@pytest.mark.parametrize("count", [1, 2, 10, "gate"])
@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (1440, "dark"), (390, "light"), (390, "dark")])
def test_axe_finds_nothing_serious_and_nothing_sticks_out(browser, pages, count, width, scheme):
    page, said = chromium.open_page(browser, pages[count], width, 900, scheme)
    chromium.see_all(page)
    found = [
        (v["id"], v["nodes"][0]["html"])
        for v in Axe().run(page).response["violations"]
        if v["impact"] in ("serious", "critical")
    ]
    assert found == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert said == []


@needs_chromium
def test_a_phone_shows_families_and_a_few_clips_and_the_rest_on_demand(browser, pages):
    page, _ = chromium.open_page(browser, pages[10], 390, 844)
    assert page.locator("details.fold[open]").count() == 0
    assert page.locator(".card:visible").count() == 4
    assert page.evaluate("document.documentElement.scrollHeight") < 8000
    page.click("#g-more")
    assert page.locator(".card:visible").count() == 8
    page.click("nav a[href='#results']")
    page.locator("#table tbody tr:visible").first.wait_for()
    page.locator("#forest svg").wait_for()


@needs_chromium
def test_a_cell_of_the_map_and_a_picture_of_a_family_lead_to_their_clip(browser, pages):
    page, _ = chromium.open_page(browser, pages[2])
    data = json.loads(page.locator("#data").text_content())
    cell = page.locator("#map button:not([aria-disabled])").first
    prompt = page.locator("#map tbody tr").first.locator("th").inner_text()
    cell.click()
    page.wait_for_timeout(100)
    focused = page.evaluate("document.activeElement.dataset.card")
    case = data["cards"][int(focused)]["case"]
    assert data["cases"]["prompts"][data["cases"]["prompt"][case]] == prompt
    assert page.locator("#map tbody tr").count() == len(data["cases"]["prompts"])
    thumb = page.locator(".thumb").first
    thumb.click()
    page.wait_for_timeout(100)
    assert page.evaluate("document.activeElement.id") == thumb.get_attribute("href").removeprefix("#")
    grey = thumb.locator("canvas").evaluate("c => c.getContext('2d').getImageData(0, 0, 1, 1).data[0]")
    assert grey > 0  # the picture is drawn


def test_the_worst_clip_of_a_family_is_the_one_that_fell_most(pages):
    text = pages[2].read_text(encoding="utf-8")
    data = json.loads(re.search(r'id="data">(.*?)</script>', text)[1])
    (card, metric) = re.search(r'href="#case-(\d+)" class="thumb".*?fell most in (.*?)</small>', text).groups()
    metric = metric.replace("<wbr>", "")
    own, sign = data["cases"]["metrics"][metric], 1 if data["better"][metric] else -1
    falls = [sign * (own["new"][c["case"]] - own["base"][c["case"]]) for c in data["cards"]]
    assert falls[int(card)] == min(falls)


@needs_chromium
def test_laws_can_be_switched_off_and_a_clip_made_larger_by_the_keyboard(browser, pages):
    page, _ = chromium.open_page(browser, pages[1])
    for card in page.locator(".card").all():  # the third frame, which breaks a law in every clip that breaks one
        card.scroll_into_view_if_needed()
        card.locator("canvas").wait_for()
        page.wait_for_timeout(300)
        card.locator("input[type=range]").evaluate("r => { r.value = 2; r.dispatchEvent(new Event('input')); }")
    assert page.locator("canvas.broken").count() > 0
    assert page.locator("canvas.broken").count() == sum(bool(text) for text in page.locator(".laws").all_inner_texts())
    page.uncheck("#g-tracks")
    page.wait_for_timeout(200)
    assert page.locator("canvas.broken").count() == 0
    assert page.locator(".laws").all_inner_texts() == [""] * 8
    canvas = page.locator(".card canvas").first
    canvas.scroll_into_view_if_needed()
    before = canvas.bounding_box()["width"]
    canvas.focus()
    page.keyboard.press("Enter")
    assert canvas.bounding_box()["width"] > 1.5 * before
    box = canvas.bounding_box()
    assert box["width"] / box["height"] == pytest.approx(canvas.evaluate("c => c.width / c.height"), rel=0.01)
    page.keyboard.press("Enter")
    assert canvas.bounding_box()["width"] == pytest.approx(before)


def test_a_single_run_has_no_verdicts_and_ten_are_rows(pages):
    one, ten = (pages[n].read_text(encoding="utf-8") for n in (1, 10))
    assert '<button type="button">verdict</button>' not in one
    assert 'class="runs"' in one
    assert 'class="runs"' not in ten
    assert len(re.findall(r'<tr class="(?:base|new)">', ten)) == 10
    assert ten.count('<svg class="spark"') >= 5


@pytest.mark.parametrize("count", [1, 2, 10])
def test_the_page_has_only_signs_that_common_fonts_have(pages, count):
    text = re.sub(r"<script.*?</script>", "", pages[count].read_text(encoding="utf-8"), flags=re.DOTALL)
    assert set(re.findall(r"[^\x00-\x7f]", text)) <= set("·↑↓…–×°²→≠")  # all in Arial, Helvetica, Segoe UI, Roboto, DejaVu


def test_equal_notes_of_ten_runs_are_one(tmp_path):
    runs = [drawn_run(tmp_path, f"r{i}", checkpoint=f"ck{i}", steps=i, timings=0, seed=i) for i in range(10)]
    text = html.render(open_source([r.path for r in runs]), clips=0)
    assert text.count("no timings") == 1
    assert "all 10 runs: no timings" in text


@given(st.lists(st.none() | st.floats(-1e6, 1e6), min_size=1, max_size=20))
def test_a_spark_stays_in_its_box_and_has_a_point_per_value(values):
    drawn = re.findall(r"[ML]([\d.-]+) ([\d.-]+)", str(spark(values)))
    known = [v for v in values if v is not None]
    assert len(drawn) == (len(known) if len(known) > 1 else 0)
    assert all(0 <= float(x) <= SPARK[0] and 0 <= float(y) <= SPARK[1] for x, y in drawn)


def test_the_table_of_runs_takes_turns_between_families():
    rows = [
        {"run": run, "metric": m, "family": f, "slice": "all", "value": v}
        for run, v in (("a", 1.0), ("b", float("nan")))
        for f, m in (("x", "x1"), ("x", "x2"), ("y", "y1"), ("speed", "latency"))
    ]
    table = table_of_runs(rows, ["a", "b", "c"])
    assert table["metrics"] == ["x1", "y1", "x2"]
    assert table["cells"] == [(1.0, 1.0, 1.0), (None, None, None), (None, None, None)]


def moving(width, height, frames):
    """A bright bar that moves over grey."""
    clip = np.full((frames, height, width, 3), 90, np.uint8)
    for t in range(frames):
        clip[t, :, 4 * t : 4 * t + 20] = 230
    return Clip(clip, 8.0)


def test_a_video_beside_the_page_is_the_clip(tmp_path):
    clip = moving(301, 241, 9)  # odd sides
    videos.encode(clip, tmp_path / "x.mp4")
    assert videos.plays(tmp_path / "x.mp4")
    back = read_clip(tmp_path / "x.mp4")
    assert (back.num_frames, back.height, back.width, back.fps) == (9, 242, 302, 8.0)
    assert np.abs(back.frames[:, :241, :301].astype(int) - clip.frames).mean() < 2


@pytest.mark.parametrize(("width", "frames", "shown"), [(224, 48, False), (225, 48, True), (224, 49, True)])
def test_only_clips_that_the_sprites_reduce_have_a_video(width, frames, shown):
    row = SampleRow(id="x", prompt_id="x", width=width, height=100, frames=frames)
    assert videos.reduced(row) is shown
    source = SimpleNamespace(runs=[SimpleNamespace(rows=lambda table: [row])])
    assert videos.forecast(source, 24).startswith("up to 1 videos" if shown else "no videos")


@needs_chromium
def test_whole_videos_play_from_the_folder_beside_the_page(browser, tmp_path):
    from sora_eval.video.codec import write_clip

    (tmp_path / "clips").mkdir()
    write_clip(moving(320, 240, 60), tmp_path / "clips" / "a bar moves.mkv")
    (tmp_path / "s.toml").write_text('[suite]\nid = "v"\n[metrics.temporal_flickering]\n')
    run = CliRunner().invoke(
        app, ["run", str(tmp_path / "s.toml"), "-g", f"folder:{tmp_path / 'clips'}", "--out", str(tmp_path / "runs")]
    )
    assert run.exit_code == 0, run.output
    (folder,) = (tmp_path / "runs").iterdir()
    file = tmp_path / "page.html"
    done = CliRunner().invoke(app, ["report", str(folder), "--html", "--videos", "--out", str(file)])
    assert done.exit_code == 0, done.output
    assert "page_videos: up to 1 videos, about 0 MB" in done.output
    page, said = chromium.open_page(browser, file)
    canvas = page.locator(".card canvas").first
    canvas.scroll_into_view_if_needed()
    page.wait_for_timeout(500)
    canvas.click()
    page.wait_for_function("document.querySelector('video')?.readyState >= 2 && document.querySelector('.card canvas').hidden")
    assert page.evaluate("document.querySelector('video').videoWidth") == 320
    assert page.locator(".card.large").count() == 1
    page.locator("video").click()
    assert page.locator("video").count() == 0
    assert said == []
