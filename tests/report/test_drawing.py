"""Charts as SVG and PNG: light, safe, with a title for every mark, nothing cut off and no label over another."""

from __future__ import annotations

import struct
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from nets.errors import Unusable
from nets.report import palette
from nets.report.charts.style import width
from nets.report.document import Chart
from nets.report.drawing import png, svg, svg_file, write_plots
from nets.report.text import plain
from tests.report.test_charts import CASES, charts_of, data

SVG = "{http://www.w3.org/2000/svg}"
TAGS = {"svg", "g", "path", "line", "circle", "text", "title"}
HEXES = {color.light for color in palette.COLORS}
MAX_BYTES, MAX_BYTES_OF_THIRTY, MAX_BYTES_OF_A_RUN = 60_000, 150_000, 250_000
"""Of a chart, a hundred classes or ten cells large, and of thirty cells, most have a tenth of it; of ten cells' run."""


@dataclass(frozen=True, slots=True)
class Box:
    """Where a text stands, in pixels."""

    text: str
    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: Box) -> bool:
        """Whether both cover a pixel."""
        across = min(self.right, other.right) - max(self.left, other.left)
        return across > 1 and min(self.bottom, other.bottom) - max(self.top, other.top) > 1


def boxes(element: ET.Element, x: float = 0, y: float = 0, look: dict[str, str] | None = None) -> Iterator[Box]:
    """The texts of a drawing. Groups are moved, texts are moved and turned by 90 degrees at most."""
    look = {
        **(look or {}),
        **{
            name: element.attrib[name] for name in ("font-size", "font-weight", "text-anchor") if name in element.attrib
        },
    }
    transform = element.get("transform", "")
    is_turned = "rotate" in transform
    if transform.startswith("translate"):
        dx, dy = transform.removeprefix("translate(").partition(")")[0].split(",")
        x, y = x + float(dx), y + float(dy)
    if element.tag == f"{SVG}text" and element.text:
        x, y = x + float(element.get("x", 0)), y + float(element.get("y", 0))
        size = float(look.get("font-size", 12))
        wide = width(element.text, size, is_bold=look.get("font-weight") == "bold")
        start = {"start": 0.0, "middle": -wide / 2, "end": -wide}[look.get("text-anchor", "start")]
        if is_turned:
            yield Box(element.text, x - 0.75 * size, y - start - wide, x + 0.1 * size, y - start)
        else:
            yield Box(element.text, x + start, y - 0.75 * size, x + start + wide, y + 0.1 * size)
    for child in element:
        yield from boxes(child, x, y, look)


@pytest.mark.parametrize("case", CASES)
def test_drawn(case: str, draw: Callable[[Chart], str]) -> None:
    """Every chart is light and plain, each mark has its title, and no text is cut off or covered."""
    n_bytes = 0
    for chart in charts_of(case):
        text = draw(chart)
        drawn = ET.fromstring(text)
        demand_plain(chart, drawn)
        demand_titles(chart, drawn)
        demand_whole_texts(chart, drawn)
        assert len(text) < (MAX_BYTES_OF_THIRTY if case == "thirty cells" else MAX_BYTES), chart.name
        n_bytes += len(text)
    assert n_bytes < MAX_BYTES_OF_A_RUN or case != "ten cells"


def demand_plain(chart: Chart, drawn: ET.Element) -> None:
    """Without style, script, link or identifier, in the palette's colours alone, and labelled by what it says."""
    assert {each.tag.removeprefix(SVG) for each in drawn.iter()} <= TAGS, chart.name
    names = {name for each in drawn.iter() for name in each.attrib}
    assert not names & {"style", "class", "id", "href"}, chart.name
    assert not any(name.startswith(("on", "{")) for name in names), chart.name
    colours = {each.get(name) for each in drawn.iter() for name in ("fill", "stroke")}
    assert colours <= {None, "none", *HEXES}, chart.name
    assert drawn.attrib["aria-label"] == plain(f"{chart.title}: {chart.says}", 1_000), chart.name


def demand_titles(chart: Chart, drawn: ET.Element) -> None:
    """What a mark says on hovering is said by a `<title>` in it, whatever its characters, and texts are all there."""
    titles = [each.text for each in drawn.iter(f"{SVG}title")]
    assert set(titles) == {each["title"] for each in data(chart) if each["title"]}, chart.name
    texts = {each.text for each in drawn.iter(f"{SVG}text")}
    assert {each["text"] for each in data(chart) if "text" in each} <= texts, chart.name


def demand_whole_texts(chart: Chart, drawn: ET.Element) -> None:
    """Every text lies inside of the picture, and none over another, even in a font that is a little wider."""
    across, down = float(drawn.attrib["width"]), float(drawn.attrib["height"])
    texts = list(boxes(drawn))
    assert len(texts) > 2, chart.name
    for each in texts:
        inside = each.left >= -1 and each.top >= -1 and each.right <= across + 1 and each.bottom <= down + 1
        assert inside, (chart.name, each)
    covered = [(a, b) for i, a in enumerate(texts) for b in texts[i + 1 :] if a.meets(b)]
    assert not covered, (chart.name, covered[:3])


def test_the_same_bytes() -> None:
    """A chart drawn twice is the same to the byte, as SVG and as PNG."""
    chart = charts_of("one round")[0]
    assert svg(chart) == svg(chart)
    assert png(chart) == png(chart)


def test_files(tmp_path: Path) -> None:
    """Each chart is written as SVG and PNG of the same shape, with its title, and instead of what stood there."""
    chart = charts_of("one cell")[0]
    (tmp_path / f"{chart.name}.png").write_text("old")
    written = write_plots([chart], tmp_path)
    assert [path.name for path in written] == [f"{chart.name}.svg", f"{chart.name}.png"]
    assert sorted(tmp_path.iterdir()) == sorted(written)
    drawn = ET.fromstring(written[0].read_text())
    assert chart.title in {each.text for each in drawn.iter(f"{SVG}text")}
    head = written[1].read_bytes()[:24]
    assert head.startswith(b"\x89PNG")
    assert struct.unpack(">II", head[16:]) == (2 * int(drawn.attrib["width"]), 2 * int(drawn.attrib["height"]))
    assert written[0].read_text() == svg_file(chart)


def test_files_of_two_runs(tmp_path: Path) -> None:
    """Of two charts of the same name, as two runs have them, both are written."""
    first, second = charts_of("one cell")[0], replace(charts_of("one cell")[0], title="Of another run")
    written = write_plots([first, second], tmp_path)
    assert [path.name for path in written[::2]] == [f"{first.name}.svg", f"{first.name}-2.svg"]
    assert "Of another run" in written[2].read_text()


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """A file that can't be written is named, and so is the reason."""
    with pytest.raises(Unusable, match=r"nowhere.*can't be written: No such file"):
        write_plots(charts_of("one cell")[:1], tmp_path / "nowhere")
