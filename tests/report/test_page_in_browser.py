"""A page as a browser shows it: read, sorted and opened, in light, dark and print."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from nets.report.html import html_text
from tests.support.browser import demand_well_rendered, opened, rendering_faults, started
from tests.support.pages import CELLS, HOSTILE, drawing, made_page


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(html_text(made_page(), drawing), encoding="utf-8")
    return path


def first_column(page: Page) -> list[str]:
    """The names of the cells, from the top of the table of results."""
    return page.locator("#results + .scroll tbody th").all_inner_texts()


def test_well_rendered(browser: Browser, written: Path) -> None:
    """At three widths, in light, dark and print, nothing is cut off, overlaps, is asked for or reported."""
    with opened(browser, written) as watched:
        demand_well_rendered(watched)


@pytest.mark.parametrize(
    "name", [HOSTILE, "n" * 2_000, "אבג mnist", "word " * 500], ids=["markup", "long", "rtl", "words"]
)
def test_any_name(browser: Browser, tmp_path: Path, name: str) -> None:
    """A name that is markup, very long, or written from right to left is text, and stays inside its place."""
    path = tmp_path / "page.html"
    path.write_text(html_text(made_page(name), drawing), encoding="utf-8")
    with opened(browser, path) as watched:
        demand_well_rendered(watched, looks=())


def test_faults_are_found(browser: Browser, written: Path) -> None:
    """What is planted into a page is reported: too wide, clipped, upon another, an empty drawing."""
    planted = {
        "document.querySelector('h1').style.minWidth = '3000px'": "px wide",
        "document.querySelector('h2').style.cssText = 'height: 5px; overflow: hidden'": "clipped",
        "document.querySelector('h2').style.marginBottom = '-40px'": "lies upon",
        "document.querySelector('figure svg').innerHTML = ''": "an empty drawing",
        "document.querySelector('svg text').setAttribute('transform', 'translate(-90,0)')": "outside its drawing",
    }
    with opened(browser, written) as watched:
        for change, fault in planted.items():
            watched.page.evaluate(change)
            assert any(fault in found for found in rendering_faults(watched.page)), fault
            watched.page.reload()
        assert rendering_faults(watched.page) == []


def test_the_policy_holds(browser: Browser, written: Path, tmp_path: Path) -> None:
    """A script, a style or a request that gets into the file does nothing, and is reported."""
    path = tmp_path / "page.html"
    added = (
        '<script>document.title = "ran"</script><p style="color: red">x</p><img src="http://localhost/x.png"></main>'
    )
    path.write_text(written.read_text("utf-8").replace("</main>", added), encoding="utf-8")
    with opened(browser, path) as watched:
        assert watched.page.title() == "nets: out.json"
        assert sum("Content Security Policy" in message for message in watched.messages) == 3


def test_sorted_by_keyboard(browser: Browser, written: Path) -> None:
    """Tab leads to a column's button, Enter sorts by the column's values, once more the other way round.

    What has no value comes last, and a sum, whose first cell is empty, stays below all.
    """
    with opened(browser, written) as watched:
        page = watched.page
        before = first_column(page)
        tab_to(page, "images a second")
        page.keyboard.press("Enter")
        heading = page.locator("#results + .scroll thead th").nth(5)
        assert heading.get_attribute("aria-sort") == "ascending"
        assert first_column(page) == before  # 4,800 before 16,000: by value, not by text
        page.keyboard.press("Enter")
        assert heading.get_attribute("aria-sort") == "descending"
        assert first_column(page) == before[::-1]
        assert page.locator("#said").inner_text() == "Sorted by images a second, descending"
        tab_to(page, "energy of a round")
        for direction in ("ascending", "descending"):
            page.keyboard.press("Enter")
            assert page.locator("th[aria-sort]").count() == 1
            assert page.locator("th[aria-sort]").get_attribute("aria-sort") == direction
            assert first_column(page)[-1] == CELLS[2]
            assert page.locator("#results + .scroll tbody tr").last.locator("td").nth(1).inner_text() == "27"


def test_opened_by_keyboard(browser: Browser, written: Path) -> None:
    """Tab leads to a chart's summary, and Enter opens its table; the first Tab leads past the contents."""
    with opened(browser, written) as watched:
        page = watched.page
        page.keyboard.press("Tab")
        assert page.locator(":focus").inner_text() == "Skip to the content"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "content"
        table = page.locator("#chart-curve-mnist-snn500 table")
        assert not table.is_visible()
        tab_to(page, "As a table")
        page.keyboard.press("Enter")
        assert table.is_visible()


def tab_to(page: Page, text: str) -> None:
    """Press Tab until the focus is on what says so."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if (page.locator(":focus").text_content() or "").startswith(text):
            return
    pytest.fail(f"Tab does not lead to {text!r}")


def test_without_javascript(browser: Browser, written: Path) -> None:
    """Everything is there to be read, scrolled and opened; only the buttons that sort are not."""
    with opened(browser, written, has_javascript=False, width=390) as watched:
        page = watched.page
        assert page.locator("th button").count() == 0
        assert page.locator(".scroll[tabindex]").count() == page.locator(".scroll").count() > 0
        page.locator("summary").first.click()
        assert page.locator("details table").first.is_visible()
        assert watched.messages == []


def test_scrolled_by_keyboard(browser: Browser, written: Path) -> None:
    """A wide table takes the focus where it scrolls, and only there."""
    for width, n in ((390, 1), (1440, 0)):
        with opened(browser, written, width=width) as watched:
            assert watched.page.locator("#results + .scroll[tabindex]").count() == n


def test_hovering(browser: Browser, written: Path) -> None:
    """A mark is what the pointer meets at its place, and its title says its values."""
    with opened(browser, written) as watched:
        mark = watched.page.locator("#chart-depth circle").first
        mark.scroll_into_view_if_needed()
        title = mark.evaluate(
            "each => { const { x, y, width, height } = each.getBoundingClientRect();"
            "return document.elementFromPoint(x + width / 2, y + height / 2).querySelector('title').textContent }"
        )
        assert title == "epoch: 1"


def test_colors_follow_the_theme(browser: Browser, written: Path) -> None:
    """A mark of a chart has the palette's light colour on light and on paper, and its dark one on dark."""
    with opened(browser, written) as watched:
        mark = watched.page.locator("#chart-depth circle").first
        seen = {}
        for scheme, media in (("light", "screen"), ("dark", "screen"), ("dark", "print")):
            watched.page.emulate_media(color_scheme=scheme, media=media)  # type: ignore[arg-type]
            seen[scheme, media] = mark.evaluate("each => getComputedStyle(each).fill")
        light, dark = "rgb(44, 105, 212)", "rgb(87, 134, 237)"
        assert seen == {("light", "screen"): light, ("dark", "screen"): dark, ("dark", "print"): light}


def test_printed_with_all_open(browser: Browser, written: Path) -> None:
    """In print every chart's table is there, though none was opened."""
    with opened(browser, written) as watched:
        watched.page.emulate_media(media="print")
        tables = watched.page.locator("details table")
        heights = [tables.nth(i).bounding_box() for i in range(tables.count())]
        assert heights
        assert all(box is not None and box["height"] > 20 for box in heights)


def test_download(browser: Browser, written: Path, tmp_path: Path) -> None:
    """A file that the page holds is saved under its name, byte for byte."""
    with opened(browser, written) as watched:
        with watched.page.expect_download() as started:
            watched.page.locator("a[download]").click()
        started.value.save_as(tmp_path / "saved")
        assert started.value.suggested_filename == "cifar10-lenet5.json"
        assert (tmp_path / "saved").read_bytes() == b'{"a": 1}' * 1_000


@pytest.mark.parametrize(("ci", "outcome"), [("", pytest.skip.Exception), ("true", pytest.fail.Exception)])
def test_no_browser(monkeypatch: pytest.MonkeyPatch, ci: str, outcome: type[BaseException]) -> None:
    """Without a browser these tests are skipped with the reason; in CI, which installs one, they fail."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome, match="no browser: none of chromium"), started():
        pass
