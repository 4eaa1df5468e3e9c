"""Pictures of the HTML report: `python tests/reports/screenshots.py RUN... [--out docs/images] [--page NAME=RUN,RUN,...]`.

Writes report-wide.png (1440 px, light), report-clips.png (the gallery, light), report-phone.png (390 px, dark) of the runs, for
the docs; and NAME-WIDTH-SCHEME.png of every further page, at 1440 and 390 px, light and dark, whole, to be looked at.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser

sys.path.insert(0, str(Path(__file__).parents[2]))
from sora_eval.runs.find import resolve_run
from sora_eval_reports.page import page as html
from sora_eval_reports.source import open_source
from tests.reports import chromium

COLOURS = 256  # of a palette; the pictures stay below 300 kB
PICTURES = (("wide", 1440, 1400, "light", None), ("clips", 1440, 1000, "light", "clips"), ("phone", 390, 1400, "dark", None))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="*", type=Path)
    parser.add_argument("--page", action="append", default=[], help="NAME=RUN,RUN,...: a further page, whole")
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    parser.add_argument("--metric", default="physics_laws.permanence", help="orders the gallery and is drawn by prompt")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, chromium.browser() as started:
        file = Path(folder) / "report.html"
        for spec in given.page:
            name, _, runs = spec.partition("=")
            whole(started, file, given.out / name, [Path(r) for r in runs.split(",")])
        if given.runs:
            file.write_text(html.render(open_source([resolve_run(r).path for r in given.runs])))
        for name, width, height, scheme, section in PICTURES if given.runs else ():
            page, said = chromium.open_page(started, file, width, height, scheme)
            for select in ("#s-metric", "#g-metric"):
                if page.locator(f"{select}:visible option[value='{given.metric}']").count():
                    page.select_option(select, given.metric)
            if page.locator("#g-order option[value=improved]").count():
                page.select_option("#g-order", "improved")
            chromium.see_all(page)
            if section:
                page.evaluate(f"document.getElementById('{section}').scrollIntoView()")
                page.wait_for_timeout(1500)
                # Every clip at two thirds, so that tracks can be seen and the picture does not depend on the clock.
                page.evaluate(
                    """document.querySelectorAll(".card input[type=range]").forEach((range) => {
                        range.value = Math.round(range.max * 2 / 3);
                        range.dispatchEvent(new Event("input"));
                    })"""
                )
            if said:
                sys.exit(f"the page complains: {said}")
            target = given.out / f"report-{name}.png"
            page.screenshot(path=target)
            shrink(target)
            print(target, target.stat().st_size)


def whole(started: Browser, file: Path, stem: Path, runs: list[Path]) -> None:
    """The whole page of some runs, at two widths and in two colour schemes."""
    file.write_text(html.render(open_source([resolve_run(r).path for r in runs])), encoding="utf-8")
    for width in (1440, 390):
        for scheme in ("light", "dark"):
            page, said = chromium.open_page(started, file, width, 900, scheme)
            if width == 1440:
                chromium.see_all(page)
            if said:
                sys.exit(f"the page complains: {said}")
            target = stem.with_name(f"{stem.name}-{width}-{scheme}.png")
            target.parent.mkdir(parents=True, exist_ok=True)
            page.screenshot(path=target, full_page=True)
            shrink(target)
            print(target, target.stat().st_size)


def shrink(path: Path) -> None:
    """A palette instead of 16 million colours."""
    from PIL import Image

    Image.open(path).convert("RGB").quantize(COLOURS, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(
        path, optimize=True
    )


if __name__ == "__main__":
    main()
