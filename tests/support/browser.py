"""Debian's chromium, driven by Playwright, and what must hold of every page that it shows."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--no-sandbox",  # as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WIDTHS = (390, 768, 1440)
HEIGHT = 900
PAPER_WIDTH = 703
"""Pixels between the margins of A4: what is printed is laid out in these."""
THEMES = ("light", "dark", "print")
VIEWS = (*((width, theme) for width in WIDTHS for theme in THEMES), (PAPER_WIDTH, "print"))
FEW_VIEWS = ((390, "light"), (1440, "dark"), (PAPER_WIDTH, "print"))
LIGHT, DARK, PAPER = LOOKS = tuple(zip(WIDTHS, THEMES, strict=True))
SERIOUS = ("serious", "critical")
_FAULTS = Path(__file__).with_name("rendering_faults.js").read_text()


@contextmanager
def started() -> Iterator[Browser]:
    """The browser; skips where there is none, but fails in CI.

    Playwright's event loop runs in this thread while the browser is open: a test that starts its own has to wait.
    """
    executable = next((found for name in NAMES if (found := shutil.which(name))), None)
    if executable is None:
        missing = f"no browser: none of {', '.join(NAMES)} is on the path"
        if os.environ.get("CI"):
            pytest.fail(f"{missing}; .ci/run installs one")
        pytest.skip(missing)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


class Watched:
    """A page of a file, and what it said and asked for since it was opened."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.messages: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda message: self.messages.append(message.text))
        page.on("pageerror", lambda error: self.messages.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))


@cache
def _window(browser: Browser, has_javascript: bool) -> Watched:
    """One for all files: another takes as long as a file does. Nothing can be reached from it but files."""
    return Watched(browser.new_context(offline=True, java_script_enabled=has_javascript).new_page())


@contextmanager
def opened(browser: Browser, path: Path, *, has_javascript: bool = True, width: int = 1440) -> Iterator[Watched]:
    """The file in the browser's window, on a light screen."""
    watched = _window(browser, has_javascript)
    show(watched.page, width, "light")
    watched.messages.clear()
    watched.requests.clear()
    watched.page.goto(path.as_uri())
    yield watched


def show(page: Page, width: int, theme: str) -> None:
    """Lay the page out at this width, in light, dark, or as it is printed."""
    page.set_viewport_size({"width": width, "height": HEIGHT})
    page.emulate_media(
        media="print" if theme == "print" else "screen", color_scheme="dark" if theme == "dark" else "light"
    )


def demand_well_rendered(
    watched: Watched, *, views: Sequence[tuple[int, str]] = VIEWS, looks: Sequence[tuple[int, str]] = LOOKS
) -> None:
    """At each width, in light, dark and print: nothing is said, asked for, cut off or overlapping; charts are drawn.

    On paper no table is wider than the page. `views`: other widths and themes than all. `looks`: those in which
    axe-core finds nothing serious, either (all nine would find the same): a second each, of twenty charts five.
    """
    page = watched.page
    for width, theme in views:
        show(page, width, theme)
        where = f"{page.url} at {width} px, {theme}"
        assert rendering_faults(page) == [], where
        if theme == "print" and width >= PAPER_WIDTH:
            assert scrolling(page) == [], where
    for width, theme in looks:
        show(page, width, theme)
        rules = {"color-contrast": {"enabled": theme != "print"}}  # paper has the light theme's colours
        assert accessibility_faults(page, rules) == [], f"{page.url} at {width} px, {theme}"
    assert watched.messages == []
    assert watched.requests == [page.url]


def rendering_faults(page: Page) -> list[str]:
    """What is wider than the page, clipped, outside its drawing, upon another text, or not drawn."""
    found: list[str] = page.evaluate(_FAULTS)
    return found


def scrolling(page: Page) -> list[str]:
    """The frames whose content is wider than they are."""
    found: list[str] = page.evaluate(
        "[...document.querySelectorAll('.scroll')]"
        ".filter(each => each.checkVisibility() && each.scrollWidth > each.clientWidth + 1)"
        ".map(each => `${each.scrollWidth} px in ${each.clientWidth}: ${each.innerText.slice(0, 80)}`)"
    )
    return found


def accessibility_faults(page: Page, rules: Mapping[str, Any]) -> list[str]:
    """What axe-core calls serious or critical, with the elements; `rules`: settings of single ones."""
    found: dict[str, Any] = Axe().run(page, options={"resultTypes": ["violations"], "rules": rules}).response
    return [
        f"{each['id']}: {node['html'][:200]}: {node['failureSummary']}"
        for each in found["violations"]
        if each["impact"] in SERIOUS
        for node in each["nodes"]
    ]
