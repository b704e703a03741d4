"""A page as HTML: what it says, that nothing in it can act, and that it asks for nothing."""

from __future__ import annotations

import base64
import hashlib
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import replace

import pytest

from nets.report.document import (
    Bar,
    Cell,
    Chart,
    Column,
    Download,
    Gallery,
    Page,
    Part,
    Picture,
    Row,
    Section,
    Sentence,
    Table,
    Tone,
    table,
)
from nets.report.html import html_text
from nets.report.html_file import size_text
from nets.report.svg import adapted
from tests.support.pages import HOSTILE, Parsed, chart, drawing, made_page, png


def written(*parts: Part, summary: str = "All passed.") -> str:
    """A page of these parts."""
    return html_text(Page("nets: out.json", summary, parts), drawing)


def parsed(*parts: Part) -> Parsed:
    return Parsed(written(*parts))


def main_of(text: str) -> str:
    """The page's content."""
    return text.split('<main id="content" tabindex="-1">')[1].split("</main>")[0]


def hash_of(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_the_policy() -> None:
    """It forbids everything but data images and the file's own style and script, which it names by their hashes."""
    page = Parsed(html_text(made_page(), drawing))
    (policy,) = (each["content"] for each in page.all("meta") if each.get("http-equiv") == "Content-Security-Policy")
    ((style,), (script,)) = page.said("style"), page.said("script")
    assert dict(each.split(" ", 1) for each in (policy or "").split("; ")) == {
        "default-src": "'none'",
        "img-src": "data:",
        "style-src": hash_of(style),
        "script-src": hash_of(script),
        "connect-src": "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }


def test_nothing_is_asked_for() -> None:
    """Every reference stays inside the file; the style imports nothing."""
    page = Parsed(html_text(made_page(HOSTILE), drawing))
    references = [*page.values("href"), *page.values("src"), *page.values("xlink:href")]
    assert references
    assert all(each.startswith(("#", "data:")) for each in references)
    (style,) = page.said("style")
    assert "url(" not in style
    assert "@import" not in style


def test_names_are_inert() -> None:
    """A hostile name adds no element and no attribute; nothing has a style or a handler, or is invisible."""
    hostile, harmless = (Parsed(html_text(made_page(name), drawing)) for name in (HOSTILE, "mnist-lenet6"))
    assert [(tag, sorted(attributes.keys() - {"class"})) for tag, attributes in hostile.elements] == [
        (tag, sorted(attributes.keys() - {"class"})) for tag, attributes in harmless.elements
    ]
    names = {name for _, attributes in hostile.elements for name in attributes}
    assert "style" not in names
    assert not any(name.startswith("on") for name in names)
    text = html_text(made_page(HOSTILE), drawing)
    assert {unicodedata.category(each) for each in text.replace("\n", "")} & {"Cc", "Cf", "Cs", "Zl", "Zp"} == set()
    assert "alert(1)" in text
    assert text.count("<script>") == text.count("</script>") == 1


def test_same_bytes() -> None:
    """The same document gives the same file, whatever was written in between."""
    first = html_text(made_page(), drawing)
    html_text(made_page(HOSTILE), drawing)
    assert html_text(made_page(), drawing) == first


def test_names_of_elements() -> None:
    """No identifier is given twice, and every reference leads to one, where titles and charts are alike, too."""
    twice = [Section("Content", (chart("a", "A"), chart("a", "A"))), Section("content", ()), Section("…", ())]
    for page in (parsed(*twice), Parsed(html_text(made_page(), drawing))):
        ids = page.values("id")
        assert len(ids) == len(set(ids))
        led_to = [each[1:] for each in page.values("href") if each.startswith("#")] + page.values("aria-labelledby")
        assert set(led_to) <= set(ids)


def test_outline() -> None:
    """The summary is the first heading, sections are below it in order, six deep at most; the contents lead to them."""
    deepest = Section("G", (Sentence("deep"),))
    for title in "FEDCB":
        deepest = Section(title, (deepest,))
    page = parsed(Section("A", (Sentence("x"),)), deepest)
    assert page.said("title") == ["nets: out.json"]
    headings = [(tag, text) for tag, text in page.texts if re.fullmatch("h[1-6]", tag)]
    assert headings == [
        ("h1", "All passed."),
        ("h2", "A"),
        ("h2", "B"),
        ("h3", "C"),
        ("h4", "D"),
        ("h5", "E"),
        ("h6", "F"),
        ("h6", "G"),
    ]
    assert [text for tag, text in page.texts if tag == "a"] == ["Skip to the content", "A", "B"]
    assert "<nav" not in written(Section("A", ()))


def test_sentences() -> None:
    """One stands alone, more are a list, those of a deeper level inside it, strong ones apart; a tone is a class."""
    assert main_of(written(Sentence("a", "dim"))).strip() == '<p class="dim">a</p>'
    nested = main_of(
        written(
            Sentence("a"), Sentence("b", "bad", level=1), Sentence("c", level=2), Sentence("d"), Sentence("e", "strong")
        )
    )
    assert re.sub(r"\s*\n\s*", "", nested) == (
        '<ul class="sentences"><li><span>a</span><ul class="sentences"><li><span class="bad">b</span>'
        '<ul class="sentences"><li><span>c</span></li></ul></li></ul></li><li><span>d</span></li></ul>'
        '<p class="strong">e</p>'
    )
    assert f">{'x' * 9}…<" in written(Sentence("x" * 20, max_length=10))
    assert "y" * 2_000 in written(Sentence("y" * 2_000, max_length=10_000))


def test_table() -> None:
    """It has its caption, headings with a scope, a heading for each row, and what its cells are sorted by."""
    cells = (("a", Cell("1.5 s", value=1.5)), ("", Cell("–")), ("c", Cell("many", value=float("nan"))))
    text = main_of(written(table(("name", "time\nof it"), cells, right=("time\nof it",), caption="Times & <more>")))
    assert '<caption id="table">Times &amp; &lt;more&gt;</caption>' in text
    assert '<th scope="col">name</th>\n<th scope="col" class="right">time<br>of it</th>' in text
    assert '<tr><th scope="row">a</th><td class="right" data-value="1.5">1.5 s</td></tr>' in text
    assert '<tr><td></td><td class="right">–</td></tr>' in text
    assert '<td class="right">many</td>' in text


@pytest.mark.parametrize(
    ("column", "row", "cell", "classes"),
    [
        ("dim", "plain", "plain", (None, "dim")),
        ("dim", "bad", "plain", ("bad", None)),
        ("dim", "bad", "good", ("bad", "good")),
    ],
)
def test_tones(column: Tone, row: Tone, cell: Tone, classes: Sequence[str | None]) -> None:
    """A cell's tone is above its row's, and that above its column's."""
    page = parsed(Table((Column("a", tone=column),), (Row((Cell("x", cell),), row),)))
    assert [each.get("class") for each in (page.all("tr")[1], page.all("th")[1])] == list(classes)


def test_bar() -> None:
    """It says its figures in words, draws the range and the value, by another mark where it is outside."""
    inside, outside, far, flat = (
        main_of(written(table(("a",), [[Cell("0.97", bar=Bar(*places))]])))
        for places in (
            (0.97, 0.95, 0.99, 0.9, 1.0),
            (0.92, 0.95, 0.99, 0.9, 1.0),
            (0.5, 0.95, 0.99, 0.9, 1.0),
            (0.97, 0.97, 0.97, 0.97, 0.97),
        )
    )
    assert 'aria-label="0.97, expected 0.95 to 0.99"' in inside
    assert '<rect class="band" x="50.0" y="2.5" width="40.0" height="9"/>' in inside
    assert '<path class="tick" d="M70.0,0V14"/>' in inside
    assert '<path class="outside" d="M20.0,3l4,4-4,4-4-4z"/>' in outside
    assert '<path class="outside" d="M0,3l4,4-4,4-4-4z"/>' in far.replace("0.0,", "0,")
    assert "<svg" not in flat


def test_chart() -> None:
    """A figure has its title, what is to be seen, the drawing named by the title, and its figures as a table."""
    text = main_of(written(chart("curve", "Loss <1>")))
    assert text.index("<figcaption") < text.index('<p class="says">') < text.index("<svg") < text.index("<details>")
    assert '<figcaption id="chart-curve-title">Loss &lt;1&gt;</figcaption>' in text
    assert 'role="img" aria-labelledby="chart-curve-title"' in text
    assert '<th scope="row" class="right">1</th>' in text
    assert "<title>epoch: 1</title>" in text


def test_tabular_chart() -> None:
    """Of a chart whose table is shaded the page has the table alone, which isn't sorted, and turns long headings."""
    rows: list[list[str | Cell]] = [["cat", Cell("9", value=9, shade=6), Cell("0", value=0)]]
    shaded = table(["true class, predicted", "cat", "a long name"], rows, right=("cat", "a long name"))
    text = main_of(written(replace(chart("matrix", "Which"), table=shaded, is_tabular=True)))
    assert "<svg" not in text
    assert "<details" not in text
    assert '<table class="matrix turned">' in text
    assert '<td class="right shade-6" data-value="9.0">9</td>' in text
    assert '<td class="right" data-value="0.0">0</td>' in text


def test_drawing() -> None:
    """It has the theme's colours, and is named by what stands above it; a wide one says so."""
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" width="500" aria-label="x">'
        '<path d="M0,0" stroke="#123456" fill="#2c69d4"><title>1</title></path></svg>'
    )
    drawn = adapted(svg, labelled_by="title-1")
    assert drawn.is_wide
    assert drawn.text == (
        '<svg width="500" class="wide" role="img" aria-labelledby="title-1">'
        '<path d="M0,0" stroke="#123456" fill="var(--series-1)"><title>1</title></path></svg>'
    )


def test_gallery() -> None:
    """An image is in the file, enlarged by a whole number; the place of one that is not here says so."""
    gallery = Gallery(
        "Test images", (Picture(png(32), "4 <b>", "good"), Picture(None, "7"), Picture(b"\x89PNG", "cut"))
    )
    text = main_of(written(gallery))
    images = Parsed(text).all("img")
    assert [base64.b64decode((each["src"] or "").removeprefix("data:image/png;base64,")) for each in images] == [
        png(32), b"\x89PNG",
    ]  # fmt: skip
    assert (images[0]["width"], images[0]["alt"]) == ("96", "Test images, image 1 of 3")
    assert text.count("no image here") == 1
    assert '<figcaption class="good">4 &lt;b&gt;</figcaption>' in text


def test_download() -> None:
    """A file is held byte for byte, with its name and size; a type that is none is not written."""
    content = bytes(range(256)) * 5
    page = parsed(Download('a"b.json', content, "application/json"), Download("c", b"", 'text/html"><script>'))
    first, second = page.all("a")[1:]
    assert first["href"] == f"data:application/json;base64,{base64.b64encode(content).decode()}"
    assert first["download"] == 'a"b.json'
    assert second["href"] == "data:application/octet-stream;base64,"
    assert [size_text(n) for n in (999, 1_280, 2_000_000)] == ["999 bytes", "1.3 KB", "2.0 MB"]
    assert page.said("span") == ["(1.3 KB)", "(0 bytes)"]


def test_size() -> None:
    """What the writer adds to twelve charts of 25 KB and a table is 80 KB at most."""
    path = "<path d='M0,0" + "L1,1" * 6_240 + "'/>"
    heavy = f'<svg xmlns="http://www.w3.org/2000/svg" width="9">{path}</svg>'
    charts = [Chart(str(i), f"Chart {i}", "It rises.", {}, chart("a", "A").table) for i in range(12)]
    text = html_text(
        Page("nets", "All passed.", (Section("A", tuple(charts)), *made_page().parts[1:2])), lambda _: heavy
    )
    assert 0 < len(text.encode()) - 12 * len(heavy) < 80_000
