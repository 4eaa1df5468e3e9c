"""The system's Chromium, driven by Playwright: headless, offline, every console message kept."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

BINARIES = ("chromium", "chromium-browser", "google-chrome", "chrome")


def binary() -> str | None:
    """Where a Chromium is, or None."""
    return next((path for name in BINARIES if (path := shutil.which(name))), None)


@contextmanager
def browser() -> Iterator[Browser]:
    """A headless browser. It runs as whoever runs the tests, so without the sandbox that refuses root."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=binary(), args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


def open_page(
    started: Browser, file: Path, width: int = 1440, height: int = 900, scheme: str = "light"
) -> tuple[Page, list[str]]:
    """A page opened from disk without a network, and the list that its errors and warnings go into."""
    context = started.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, offline=True)
    page, said = context.new_page(), []
    page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
    page.on("dialog", lambda dialog: (said.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    inside = ("file:", "data:", "blob:")
    page.on("request", lambda request: request.url.startswith(inside) or said.append(f"asked: {request.url}"))
    page.on("pageerror", lambda error: said.append(f"error: {error}"))
    page.on("requestfailed", lambda request: said.append(f"fetched: {request.url}"))
    page.goto(file.as_uri())
    page.wait_for_selector("html[data-ready]")
    return page, said


def see_all(page: Page) -> None:
    """Open all sections, scroll to the end and back, so that everything that is drawn when it is seen has been drawn."""
    page.evaluate("document.querySelectorAll('details.fold').forEach((fold) => { fold.open = true; })")
    if page.locator("#g-more:visible").count():
        page.click("#g-more")
    for section in page.query_selector_all("section"):
        section.scroll_into_view_if_needed()
        page.mouse.wheel(0, 500)
        page.wait_for_timeout(60)
    page.wait_for_timeout(500)
    page.evaluate("scrollTo(0, 0)")
