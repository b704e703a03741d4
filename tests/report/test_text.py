"""Text from a file on its way to the terminal and the page."""

from __future__ import annotations

import html
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nets.report.markdown import markdown
from nets.report.text import plain


@given(st.text())
def test_plain_is_visible(text: str) -> None:
    """No control, format or separator character is left, of whatever text; nor more than one line."""
    made = plain(text)
    assert not {unicodedata.category(character) for character in made} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert len(made) <= 300


@given(st.text())
def test_markdown_has_no_markup(text: str) -> None:
    """Whatever the text, no character of markup is left outside a character reference, and it reads the same."""
    made = markdown(text)
    assert not re.search(r"[!$()*:<>@\[\\\]^_`{|}~]", re.sub(r"&#\d+;", "", made))
    assert html.unescape(made).replace("\u2060", "") == plain(text)


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("\x1b[2J\x1b]0;title\x07red", "�[2J�]0;title�red"),
        ("one\r\n\ttwo  three", "one two three"),
        ("left \u202eright", "left �right"),
        ("x" * 301, "x" * 299 + "…"),
        ("\ud800", "�"),
        ("::error::x", ":�error::x"),
        (" \ufe0f::error::x", "\ufe0f:�error::x"),
        ("a::b", "a::b"),
        ("x ##[set-output name=a]b", "x #�[set-output name=a]b"),
        ("###[error]", "##�[error]"),
        ("\x1b]8;;http://e.vil\x1b\\\\x\x1b]8;;\x1b\\\\", "�]8;;http://e.vil�\\\\x�]8;;�\\\\"),
        ("a\u2066\u200b\u2028\x85b", "a�� b"),
    ],
)
def test_plain(text: str, made: str) -> None:
    """Escapes are shown as what they are not, and nothing is longer than a line may be."""
    assert plain(text) == made


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("<img src=x>", "&#60;img src=x&#62;"),
        ("a|b", "a&#124;b"),
        ("[x](y)", "&#91;x&#93;&#40;y&#41;"),
        ("https://x.y www.x.y", "https&#58;//x.y www&#46;x.y"),
        ("@someone", "&#64;&#8288;someone"),
        ("&lt;", "&#38;lt;"),
        ("- x", "&#45; x"),
        ("12. x", "&#49;&#50;&#46; x"),
        ("0.98", "0.98"),
        ("-5.00 %", "&#45;5.00 %"),
    ],
)
def test_markdown(text: str, made: str) -> None:
    """Markup becomes character references; plain numbers stay."""
    assert markdown(text) == made
