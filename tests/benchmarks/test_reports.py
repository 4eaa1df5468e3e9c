"""A report of 1000 cases x 10 metrics: how long it takes (at most 20 s are meant), and how long the first click on it (200 ms).

`pytest tests/benchmarks/test_reports.py --benchmark-enable`.
"""

import pytest

from sora_eval_reports.page import page as html
from sora_eval_reports.source import open_source
from tests.reports import chromium
from tests.runs import drawn_run

METRICS = {f"metric_{i}": ("1", True) for i in range(10)}
ANSWERED = """(selector) => new Promise((answered) => {
  const start = performance.now();
  document.querySelector(selector).click();
  requestAnimationFrame(() => setTimeout(() => answered(performance.now() - start), 0));
})"""  # from the click to the end of the frame that shows what it did


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs of 500 prompts x 2 shapes."""
    root = tmp_path_factory.mktemp("runs")
    return [
        drawn_run(root, f"r{i}", checkpoint=f"c{i}", prompts=500, metrics=METRICS, clips=False, seed=i).path for i in range(2)
    ]


@pytest.mark.benchmark(group="HTML report of two runs, 1000 cases x 10 metrics")
def test_large_report(benchmark, runs):
    page = benchmark.pedantic(lambda: html.render(open_source(runs)), rounds=1)
    benchmark.extra_info["bytes"] = len(page.encode())


@pytest.mark.skipif(chromium.binary() is None, reason="no Chromium: apt-get install chromium")
@pytest.mark.parametrize("selector", ["details.fold > summary", "nav a[href='#results']", "#map button:not([aria-disabled])"])
@pytest.mark.benchmark(group="first click on a page of 1000 cases, until it has been drawn")
def test_first_click(benchmark, runs, tmp_path, selector):
    file = tmp_path / "page.html"
    file.write_text(html.render(open_source(runs)), encoding="utf-8")
    with chromium.browser() as browser:
        milliseconds = []

        def opened():
            return (chromium.open_page(browser, file)[0],), {}

        def click(page):
            milliseconds.append(page.evaluate(ANSWERED, selector))
            page.context.close()

        benchmark.pedantic(click, setup=opened, rounds=5)
    benchmark.extra_info["milliseconds"] = sorted(milliseconds)
