"""The page of votes: blind in its source, and in headless Chromium, from disk, without a network, by keyboard and by button."""

import json

import pytest

from sora_eval.compare.run_data import data_of
from sora_eval.votes.agreement import agreement
from sora_eval.votes.ballot import ballot_of
from sora_eval.votes.votes import read_votes
from tests.commands import sora_eval
from tests.reports import chromium
from tests.runs import HOSTILE, drawn_run

PAIRS = 6


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("vote")
    runs = [drawn_run(root, f"secret-{name}", checkpoint=name, seed=i) for i, name in enumerate(("early", "late"))]
    done = sora_eval("vote", *(r.path for r in runs), "--pairs", PAIRS, "--out", root / "vote.html")
    assert done.returncode == 0, done.stderr
    assert f"vote.html: {PAIRS} of 12 pairs" in done.stdout
    return runs, root / "vote.html"


@pytest.fixture(scope="module")
def browser():
    with chromium.browser() as started:
        yield started


def data_in(page):
    text = page.read_text(encoding="utf-8")
    return json.loads(text.partition('id="data">')[2].partition("</script>")[0])


def test_its_source_names_no_run_and_no_order(made):
    runs, page = made
    text = page.read_text(encoding="utf-8")
    for run in runs:
        for secret in (run.path.name, "made:early", "made:late", "hash-early", "hash-late", str(run.path.parent)):
            assert secret not in text
    a, b = map(data_of, runs)
    assert data_in(page)["ballot"] == ballot_of(a, b).id
    firsts = [pair["clips"][0]["sha256"] == a.samples[pair["case"]].sha256 for pair in data_in(page)["pairs"]]
    assert len(set(firsts)) == 2  # neither run is always the first
    assert "<script>document.title" not in text


def test_clips_that_changed_or_are_gone_are_left_out_and_said(tmp_path):
    runs = [drawn_run(tmp_path, name, checkpoint=name, prompts=2) for name in ("early", "late")]
    first = next((runs[0].path / "clips").iterdir())
    first.write_bytes(b"")
    done = sora_eval("vote", *(r.path for r in runs), "--out", tmp_path / "v.html")
    assert "3 of 4 pairs" in done.stdout
    assert "left out" in done.stderr
    for clip in (runs[0].path / "clips").iterdir():
        clip.unlink()
    gone = sora_eval("vote", *(r.path for r in runs), "--out", tmp_path / "w.html")
    assert (gone.returncode, "no pair can be shown" in gone.stderr) == (2, True)
    same = sora_eval("vote", runs[0].path, runs[0].path, "--out", tmp_path / "w.html")
    assert (same.returncode, "both clips are the same" in same.stderr) == (2, True)


@pytest.mark.skipif(chromium.binary() is None, reason="no Chromium: apt-get install chromium")
class TestInTheBrowser:
    def start(self, browser, page, voter, **size):
        opened, said = chromium.open_page(browser, page, **size)
        opened.fill("#voter", voter)
        opened.keyboard.press("Enter")
        opened.wait_for_selector("#ask:not([hidden])")
        return opened, said

    def saved(self, page, folder, name):
        with page.expect_download() as download:
            page.locator(".save:visible").click()
        download.value.save_as(folder / name)
        assert download.value.suggested_filename.startswith("votes-")
        return folder / name

    def test_votes_by_keyboard_are_saved_and_understood(self, browser, made, tmp_path):
        runs, file = made
        page, said = self.start(browser, file, "ann")
        seen = set()
        for i in range(PAIRS):
            assert page.locator("#progress").inner_text() == f"{i + 1} of {PAIRS}"
            page.wait_for_selector("#left[data-frame]")
            seen.add(page.locator("#prompt").inner_text())
            page.keyboard.press(("ArrowLeft", "ArrowRight", "ArrowDown")[i % 3])
        assert page.locator("#end").is_visible()
        assert HOSTILE.split() == next(t for t in seen if "script" in t).split()
        votes = read_votes([self.saved(page, tmp_path, "v.jsonl")])
        assert sorted(v.choice for v in votes) == ["left", "left", "right", "right", "tie", "tie"]
        result = agreement(votes, [data_of(r) for r in runs])
        assert (result.votes, result.ties, result.voter_count, result.foreign) == (PAIRS, 2, 1, 0)
        assert said == []
        page.context.close()

    def test_both_clips_play_together_pause_and_go_back(self, browser, made):
        page, said = self.start(browser, made[1], "bob")
        frames = "['left', 'right'].map((i) => document.getElementById(i).dataset.frame)"
        page.wait_for_selector("#left[data-frame]")
        page.wait_for_selector("#right[data-frame]")
        seen = []
        while len({left for left, _ in seen}) < 3 and len(seen) < 200:
            page.wait_for_timeout(50)
            seen.append(tuple(page.evaluate(frames)))
        assert len({left for left, _ in seen}) >= 3
        assert all(left == right for left, right in seen)
        page.keyboard.press(" ")
        held = page.evaluate(frames)
        page.wait_for_timeout(400)
        assert page.evaluate(frames) == held
        page.click("[data-choice=left]")
        page.click("#back")
        assert page.locator("[data-choice=left]").get_attribute("aria-pressed") == "true"
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowUp")
        assert page.locator("[data-choice=right]").get_attribute("aria-pressed") == "true"
        assert said == []
        page.context.close()

    def test_a_page_opened_again_goes_on_and_voters_have_orders_of_their_own(self, browser, made, tmp_path):
        page, said = self.start(browser, made[1], "cid")
        page.keyboard.press("ArrowLeft")
        page.reload()
        page.wait_for_selector("html[data-ready]")
        assert page.input_value("#voter") == "cid"
        page.click("#start button")
        assert page.locator("#progress").inner_text() == f"2 of {PAIRS}"
        assert len(read_votes([self.saved(page, tmp_path, "v.jsonl")])) == 1
        orders = set()
        for i in range(6):
            page.reload()
            page.wait_for_selector("html[data-ready]")
            page.fill("#voter", f"voter {i}")
            page.click("#start button")
            state = page.evaluate("JSON.parse(Object.values(localStorage)[0])")
            assert sum(state["swapped"]) == PAIRS // 2  # as many on either side
            orders.add((*state["order"], *state["swapped"]))
        assert len(orders) > 1
        assert said == []
        page.context.close()

    @pytest.mark.parametrize("width", [1440, 390])
    def test_nothing_sticks_out(self, browser, made, width):
        page, said = self.start(browser, made[1], "dan", width=width)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert said == []
        page.context.close()
