"""The page in headless Chromium, from disk, without a network. Skipped only where there is no Chromium."""

import json

import pytest

from sora_eval_reports.page import page as html
from sora_eval_reports.source import open_source
from tests.reports import chromium
from tests.runs import HOSTILE, drawn_run, made_hostile

pytestmark = pytest.mark.skipif(chromium.binary() is None, reason="no Chromium: apt-get install chromium")


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Three checkpoints, so that every section is there."""
    root = tmp_path_factory.mktemp("page")
    runs = [
        drawn_run(root, f"r{i}", checkpoint=name, steps=steps, shift=shift, seed=i)
        for i, (name, steps, shift) in enumerate((("early", 500, 0.0), ("middle", 2000, -0.6), ("late", 5000, 0.6)))
    ]
    cell = {"family": "temporal", "corruption": "blur", "rank_correlation": -0.9, "effect_sd": 2.0, "direction": "down"}
    names = ("clip_score", "warping_error")
    check = {
        "rows": [{"metric": m, "higher_is_better": None} for m in names],
        "summary": [{**cell, "metric": m, "claimed": "down", "ok": True} for m in names],
    }
    (root / "selfcheck.json").write_text(json.dumps(check))
    file = root / "report.html"
    file.write_text(html.render(open_source([r.path for r in runs]), clips=8, selfcheck=root / "selfcheck.json"))
    return file


@pytest.fixture(scope="module")
def browser():
    with chromium.browser() as started:
        yield started


@pytest.fixture(scope="module")
def opened(browser, report):
    return chromium.open_page(browser, report)


@pytest.fixture
def page(opened):
    page, _ = opened
    page.click("#filters button[type=reset]")
    page.wait_for_timeout(50)
    return page


def brightness(colour):
    return sum(map(int, colour.removeprefix("rgb(").rstrip(")").split(", "))) / 3


def metrics(page):
    return [t.split("\n")[0] for t in page.locator("#table tbody tr:visible th").all_inner_texts()]


def column(page, label):
    values = page.locator(f'#table tbody tr:visible td[data-label="{label}"]').evaluate_all("c => c.map(e => e.dataset.value)")
    return [float(v) for v in values if v]


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_it_draws_everything_without_a_word_and_nothing_sticks_out(browser, report, width, scheme):
    page, said = chromium.open_page(browser, report, width, 844, scheme)
    chromium.see_all(page)
    charts = page.locator(".chart:not([hidden])")
    assert charts.count() >= 6
    for i in range(charts.count()):
        chart = charts.nth(i)
        chart.scroll_into_view_if_needed()
        chart.locator("svg").wait_for()
        assert chart.locator("svg path, svg circle").count() > 0
    assert said == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    out = page.evaluate(
        """w => [...document.querySelectorAll("body *")].filter(e => !e.closest(".scroll, nav, .skip, #tip, .vega-embed")
            && e.getBoundingClientRect().right > w + 1).map(e => e.outerHTML.slice(0, 90))""",
        width,
    )
    assert out == []
    for other in ("dark", "light"):
        page.emulate_media(color_scheme=other)
        ground, ink = (page.evaluate(f"getComputedStyle(document.body).{k}") for k in ("backgroundColor", "color"))
        assert (brightness(ground) < brightness(ink)) == (other == "dark")
        assert abs(brightness(ground) - brightness(ink)) > 150
        label = page.locator("#forest .role-axis-label text").first.evaluate("e => getComputedStyle(e).fill")
        assert label == ink  # charts change with the page
    page.context.close()


def test_prompts_are_inert(opened):
    page, said = opened
    assert page.title() == "made: made:early against made:middle against made:late"
    assert page.locator("img").count() == 0
    page.select_option("#g-order", "worst")
    titles = page.locator(".card h3").all_inner_texts()
    assert HOSTILE in titles
    assert said == []


def test_every_text_of_a_run_is_inert(browser, tmp_path):
    image = "<img src=x onerror=alert(1)>"
    runs = [made_hostile(drawn_run(tmp_path, f"{i} {image}", prompts=3, seed=i, shift=i)) for i in range(3)]
    (runs[0].path / "clips").rename(runs[0].path / f"clips {image}")  # paths in messages
    file = tmp_path / "report.html"
    file.write_text(html.render(open_source([r.path for r in runs]), clips=6), encoding="utf-8")
    page, said = chromium.open_page(browser, file)
    chromium.see_all(page)
    for target in (
        "#scatter .mark-symbol path",
        "#forest .mark-symbol path",
        "#tokens .mark-symbol path",
        "#table tbody tr:visible [data-why]",
    ):
        page.locator(target).first.hover(force=True)
        page.wait_for_timeout(100)
    assert page.locator("img, iframe, object, a[href^=http], a[href^=javascript]").count() == 0
    assert page.locator("script").count() == 3
    assert page.locator("main b").count() == 0
    assert image in page.locator(".tags code").first.inner_text()
    assert image in page.locator("ul.runs").inner_text()
    assert image in page.locator("#missing").inner_text()
    assert page.title().count("<script>document.title=") == 6
    assert said == []
    page.context.close()


def test_filters_leave_what_was_asked_for(page):
    whole = metrics(page)
    page.select_option("#f-run", "")
    assert len(metrics(page)) == 2 * len(whole)  # two runs against the first
    page.select_option("#f-family", "physics")
    assert set(metrics(page)) == {"physics_laws.permanence ↑", "physics_laws.continuity ↑"}
    page.select_option("#f-run", "made:late")
    assert len(metrics(page)) == 2
    page.select_option("#f-tag", "odd")
    assert sorted(metrics(page)) == ["physics_laws.continuity odd ↑", "physics_laws.permanence odd ↑"]
    page.select_option("#f-shape", "40x24x9")  # one kind of slice at a time
    assert page.input_value("#f-tag") == ""
    assert all("40x24x9" in m for m in metrics(page))
    page.click("#filters button[type=reset]")
    page.fill("#f-text", "warping")
    assert {m.split(" ")[0] for m in metrics(page)} == {"warping_error"}
    page.fill("#f-text", "")
    assert metrics(page) == whole


def test_charts_follow_the_filters(page):
    page.select_option("#f-run", "made:late")
    page.select_option("#f-family", "text")
    page.wait_for_function("document.querySelectorAll('#forest .mark-symbol path').length === 1")
    page.select_option("#f-family", "")
    page.wait_for_function("document.querySelectorAll('#forest .mark-symbol path').length > 3")
    assert page.locator("#s-count").inner_text().startswith("6 prompts")
    page.select_option("#f-tag", "even")
    assert page.locator("#s-count").inner_text().startswith("3 prompts")


def test_headings_sort_by_number_and_by_name_with_the_keyboard_too(page):
    heading = page.locator("#table th button", has_text="change")
    heading.click()
    up = column(page, "change")
    assert up == sorted(up)
    assert len(up) >= 5
    heading.press("Enter")
    assert column(page, "change") == sorted(up, reverse=True)
    assert page.locator("#table th[aria-sort]").get_attribute("aria-sort") == "descending"
    page.locator("#table th button", has_text="metric").click()
    names = metrics(page)
    assert [n.split(" ")[0] for n in names] == sorted(n.split(" ")[0] for n in names)


def shown(page, canvas):
    return canvas.evaluate("c => [c.dataset.frame, c.toDataURL()]")


def test_clips_play_pause_and_can_be_scrubbed(page):
    card = page.locator(".card").first
    card.scroll_into_view_if_needed()
    canvas = card.locator("canvas").first
    page.wait_for_function("c => c.dataset.frame !== undefined", arg=canvas.element_handle())
    before = shown(page, canvas)
    page.wait_for_function("([c, f]) => c.dataset.frame !== f", arg=[canvas.element_handle(), before[0]])
    assert shown(page, canvas)[1] != before[1]
    card.locator(".play").click()
    assert card.locator(".play").get_attribute("aria-label") == "Play"
    slider = card.locator("input[type=range]")
    slider.fill("2")
    assert canvas.get_attribute("data-frame") == "2"
    # Frames 2 and 3 break both laws: on the border, under the clip and in words.
    assert "broken" in canvas.get_attribute("class")
    assert "breaks permanence, continuity" in card.locator(".laws").inner_text()
    assert card.locator(".strip").first.locator(".b").count() == 2
    slider.press("ArrowRight")
    slider.press("ArrowRight")
    assert canvas.get_attribute("data-frame") == "4"
    assert card.locator(".laws").inner_text() == ""
    with_tracks = shown(page, canvas)[1]
    page.uncheck("#g-tracks")
    assert shown(page, canvas)[1] != with_tracks
    page.check("#g-tracks")


def test_the_gallery_is_ordered_by_the_difference_of_a_metric(page):
    page.select_option("#g-metric", "warping_error")
    page.select_option("#g-order", "worsened")
    texts = page.locator(".card .score").all_inner_texts()
    changes = [float(t[t.rindex("(") + 1 : -1]) for t in texts]
    assert changes == sorted(changes, reverse=True)  # lower is better
    page.select_option("#g-order", "improved")
    assert page.locator(".card .score").all_inner_texts() == texts[::-1]


def test_reasons_can_be_read_with_the_keyboard(page):
    chip = page.locator("#table tbody tr:visible [data-why]").first
    chip.focus()
    assert page.locator("#tip").inner_text() == chip.get_attribute("data-why")
    page.keyboard.press("Escape")
    assert not page.locator("#tip").is_visible()
