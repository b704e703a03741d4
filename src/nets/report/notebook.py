"""A run's page in a notebook: its sections one by one, as Jupyter, Colab and Kaggle show them."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from pathlib import Path

from markupsafe import Markup

from nets.errors import Unusable
from nets.report.document import Chart, Gallery, Page, Part, Picture, Section
from nets.report.pages.run import Shown
from nets.report.text import plain

_FIGURE = Markup(
    '<figure style="display:inline-block;margin:6px;width:110px;vertical-align:top">{}'
    "<figcaption>{}</figcaption></figure>"
)
_IMAGE = Markup('<img alt="" width="96" style="image-rendering:pixelated" src="data:image/png;base64,{}">')


def read_page(file: Path | str, pictures: Shown | None = None) -> Page:
    """The page of a run's file; `pictures` finds the images of its samples. Raises Unusable."""
    from nets.gate.limits import Limits
    from nets.records.run import with_subject
    from nets.records.run_file import read_with_bytes
    from nets.report.pages.page import page

    run, content = read_with_bytes(Path(file))
    return page([with_subject(run)], content, [], pictures, Limits())


def show(page: Page, title: str) -> None:
    """Display the section of this title. Raises Unusable."""
    from IPython.display import display

    sections = {part.title: part for part in page.parts if isinstance(part, Section)}
    if title not in sections:
        raise Unusable(f"the page has no section {title!r}; it has {', '.join(sections)}")
    for each in displays(sections[title].parts):
        display(each)


def displays(parts: Iterable[Part]) -> Iterator[object]:
    """What IPython displays of a document: charts as SVG, images as HTML, all else as Markdown."""
    from IPython.display import HTML, SVG, Markdown

    from nets.report.drawing import svg_file
    from nets.report.markdown import markdown_text

    for part in parts:
        match part:
            case Chart():
                yield SVG(svg_file(part))
            case Gallery():
                yield Markdown(markdown_text([Section(part.title, ())]))
                yield HTML(Markup().join(map(_figure, part.pictures)))
            case Section():
                yield Markdown(markdown_text([Section(part.title, ())]))
                yield from displays(part.parts)
            case _:
                yield Markdown(markdown_text([part]))


def _figure(picture: Picture) -> Markup:
    image = "" if picture.png is None else _IMAGE.format(base64.b64encode(picture.png).decode())
    return _FIGURE.format(image, plain(picture.text))
