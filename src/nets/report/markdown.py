"""A document as GitHub's Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from nets.report.document import Part, Section, Sentence, Table
from nets.report.text import MAX_LENGTH, plain

_MARKUP = re.compile(r"[!#$&()*:<>@\[\\\]^_`{|}~]|(?<=www)\.|^[-+=]|^\d+\.(?=\s|$)", re.IGNORECASE)
"""What Markdown or HTML may take for structure, anywhere or at the start of a line."""


def markdown(text: str, max_length: int = MAX_LENGTH) -> str:
    """Text for GitHub's Markdown and HTML, its special characters as references, which are never taken for structure.

    An @ is followed by a word joiner, since mentions and addresses are looked for after the references are resolved.
    Source: GitHub Flavored Markdown, section 6.2.
    """
    return _MARKUP.sub(_reference, plain(text, max_length)).replace("&#64;", "&#64;&#8288;")


def _reference(found: re.Match[str]) -> str:
    return "".join(f"&#{ord(character)};" for character in found[0])


def markdown_text(parts: Iterable[Part]) -> str:
    """Sections as headings, sentences as items of a list, strong ones as paragraphs, tables; no charts."""
    return "\n".join(_lines(parts)) + "\n"


def _lines(parts: Iterable[Part], level: int = 3) -> Iterator[str]:
    in_list = False
    for part in parts:
        is_item = isinstance(part, Sentence) and part.tone != "strong"
        if in_list and not is_item:
            yield ""
        in_list = is_item
        match part:
            case Sentence():
                text = markdown(part.text, part.max_length)
                yield from ([f"{'  ' * part.level}- {text}"] if is_item else [text, ""])
            case Table():
                yield from (*_table_lines(part), "")
            case Section():
                yield from (f"{'#' * level} {markdown(part.title)}", "", *_lines(part.parts, level + 1), "")


def _table_lines(table: Table) -> Iterator[str]:
    yield _line(markdown(column.heading) for column in table.columns)
    yield _line("---:" if column.right else "---" for column in table.columns)
    yield from (_line(markdown(cell.text) for cell in row.cells) for row in table.rows)


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
