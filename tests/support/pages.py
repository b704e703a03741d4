"""A made document with every kind of part, a plain drawing for its charts, and a page's file as its elements."""

from __future__ import annotations

import io
from functools import cache
from html.parser import HTMLParser

from PIL import Image

from nets.report.document import (
    Bar,
    Cell,
    Chart,
    Download,
    Gallery,
    Page,
    Picture,
    Row,
    Section,
    Sentence,
    Table,
    row,
    table,
)

HOSTILE = "</script><script>alert(1)</script>\"'`&\x1b[31m\u202eevil\u2066"
"""A name that would act on a page, in a terminal, or turn the direction of writing."""
VOID = {"meta", "link", "br", "img"}
CELLS = ("mnist-snn500", "mnist-cnn3l", "mnist-lenet5", "cifar10-cnn3l", "cifar10-lenet5")


def drawing(chart: Chart) -> str:
    """An SVG as charts are drawn, in the palette's light colours: an axis and labelled points."""
    width, height = chart.spec.get("width", 640), chart.spec.get("height", 260)
    places = [(60 + i * (width - 90) / 9, height - 50 - (height - 80) * (1 - 0.7**i)) for i in range(10)]
    points = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="#2c69d4"><title>epoch: {i + 1}</title></circle>'
        f'<text x="{x:.1f}" y="{height - 28}" text-anchor="middle" font-size="11" fill="#57606a">{i + 1}</text>'
        for i, (x, y) in enumerate(places)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">'
        f'<path d="M60,{height - 45}H{width - 20}" stroke="#57606a"/>{points}</svg>'
    )


@cache
def png(size: int = 28) -> bytes:
    """A picture of a ring."""
    picture = Image.new("L", (size, size))
    half = (size - 1) / 2
    for x in range(size):
        for y in range(size):
            radius = ((x - half) ** 2 + (y - half) ** 2) ** 0.5
            picture.putpixel((x, y), round(max(0.0, 255 - abs(radius - size / 4) * 90)))
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def chart(name: str, title: str, width: int = 640) -> Chart:
    """A chart with a table of three rows."""
    figures = table(
        ("epoch", "accuracy"), [(str(i + 1), f"{1 - 0.7**i:.3f}") for i in range(3)], right=("epoch", "accuracy")
    )
    return Chart(name, title, f"{title}: it rises quickly, then slowly.", {"width": width, "height": 260}, figures)


def made_page(name: str = "cifar10-lenet5") -> Page:
    """A page with every kind of part; `name`: of a cell, wherever it is written."""
    return Page(
        "nets: out.json",
        "9 of 10 passed. Two figures are not fit for comparison.",
        (
            Section("The run", _facts(name)),
            Section("Results", (_results(name), Sentence(f"{name}: below its band", "bad"))),
            Section(
                "Training curves",
                (
                    Sentence("A thin line a round."),
                    *(chart(f"curve-{each}", f"Accuracy of {each}", 420) for each in (*CELLS[:3], name)),
                ),
            ),
            Section(
                "Shallow or deep",
                (
                    chart("depth", "Cost beside LeNet-5's"),
                    table(("cell", name, *CELLS), [(name, "0", *map(str, range(1, 6)))], caption=f"Images of {name}"),
                    Section("Why", (Sentence(f"{name} is deep: two of three criteria hold", "strong"),)),
                ),
            ),
            Section(
                "Samples",
                (
                    Gallery("Training images", tuple(Picture(png(28 + i % 2 * 4), f"labelled {i}") for i in range(6))),
                    Gallery(
                        "Test images",
                        (
                            Picture(png(), "4, predicted 4", "good"),
                            Picture(png(), f"9, predicted {name}", "bad"),
                            Picture(None, "7, predicted 7", "good"),
                        ),
                    ),
                ),
            ),
            Section("Results", (Download(f"{name}.json", b'{"a": 1}' * 1_000, "application/json"),)),
        ),
    )


def _facts(name: str) -> tuple[Sentence, ...]:
    return (
        Sentence("Commit 0123456789ab (Batches are shuffled on the device)"),
        Sentence("Run on 2026-11-30, torch 2.15, CUDA 13.2, driver 610.43"),
        Sentence("cuda: NVIDIA H200", level=1),
        Sentence("Protocol quick, pipeline resident", "dim"),
        Sentence("All rounds are independent.", "good"),
        Sentence(f"Disturbed by other processes while timed: {name}", "doubtful"),
    )


def _results(name: str) -> Table:
    headings = (
        "cell", "layers", "trainable\nparameters", "multiply-accumulates\nan image", "time of a round (s)",
        "images a second", "test accuracy", "classical", "by cost", "energy of a round", "outcome",
    )  # fmt: skip
    rows = [_result(i, each) for i, each in enumerate((*CELLS, name))]
    rows.append(row(["", "27", *[""] * (len(headings) - 2)]))
    return table(headings, rows, right=headings[1:7] + headings[9:10], dim=("classical",), caption="One row a cell.")


def _result(i: int, name: str) -> Row:
    accuracy = 0.95 + i * 0.007
    seconds = 12.5 - i * 1.75
    passed = i < 5
    bar = Bar(accuracy, 0.955, 0.985, 0.94, 1.0)
    return row(
        (
            name,
            Cell(str(i + 2), value=i + 2),
            Cell(f"{10 ** (i + 1):,}", value=10 ** (i + 1)),
            Cell(f"{25 * 10**i:,}", value=25 * 10**i),
            Cell(f"{seconds:.2f} ± 0.05", value=seconds),
            Cell(f"{60_000 / seconds:,.0f}", value=60_000 / seconds),
            Cell(f"{accuracy:.4f}", "plain" if passed else "bad", accuracy, bar),
            "deep" if i % 2 else "shallow",
            Cell("undecided", "doubtful") if i == 3 else "deep",
            "–" if i == 2 else Cell(f"{seconds * 300:,.1f} J", value=seconds * 300),
            Cell("passed", "good") if passed else Cell("failed", "bad"),
        ),
        "dim" if i == 4 else "plain",
    )


class Parsed(HTMLParser):
    """A file's elements with their attributes and ancestors, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts.append((self._open[-1], data))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of each such element."""
        return [attributes for name, attributes in self.elements if name == tag]

    def said(self, tag: str) -> list[str]:
        """The texts right inside such elements."""
        return [data for name, data in self.texts if name == tag and data.strip()]

    def values(self, name: str) -> list[str]:
        """Those of an attribute, of all elements."""
        return [attributes[name] or "" for _, attributes in self.elements if name in attributes]
