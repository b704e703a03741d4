"""A command in a terminal of its own, as a person sees it."""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
import termios
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch

import pytest
from rich.cells import cell_len

from nets.cli.app import app

_STYLES = re.compile(r"\x1b\[[\d;]*m")
_UNSET = ("CI", "COLUMNS", "NO_COLOR", "FORCE_COLOR", "PY_COLORS", "PYTHONIOENCODING", "TERMINAL_WIDTH")


def environment(**changes: str) -> dict[str, str]:
    """This process's, without what decides how a terminal is written to, and with the changes."""
    kept = {name: value for name, value in os.environ.items() if name not in _UNSET}
    return {**kept, "TERM": "xterm-256color", "PYTHONPATH": os.pathsep.join(sys.path), **changes}


def in_terminal(arguments: Sequence[str], *, width: int, folder: Path | None = None, **changes: str) -> tuple[int, str]:
    """The exit status of `python ARGUMENTS`, and all that it wrote; `width`: columns, 0 for an unknown number."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, width))
    process = subprocess.Popen(
        [sys.executable, *arguments], stdin=theirs, stdout=theirs, stderr=theirs, cwd=folder, env=environment(**changes)
    )
    os.close(theirs)
    written = bytearray()
    try:
        while chunk := os.read(ours, 65_536):
            written += chunk
    except OSError:  # Linux's way to say that nobody writes any more
        pass
    os.close(ours)
    return process.wait(), written.decode(errors="replace").replace("\r\n", "\n")


def in_pipe(arguments: Sequence[str], charset: str = "utf-8", **changes: str) -> tuple[int, str]:
    """The exit status of `nets ARGUMENTS`, and what it wrote on both streams, in this process.

    typer's own runner gives help the same width whatever the environment says.
    """
    written = io.BytesIO()
    stream = io.TextIOWrapper(written, encoding=charset, errors="strict", write_through=True)
    with (
        patch.dict(os.environ, environment(**changes), clear=True),
        redirect_stdout(stream),
        redirect_stderr(stream),
        pytest.raises(SystemExit) as ended,
    ):
        app(list(arguments), prog_name="nets")
    stream.flush()
    return int(ended.value.code or 0), written.getvalue().decode(charset)


def unstyled(text: str) -> str:
    """Without colours and weights."""
    return _STYLES.sub("", text)


def longest(text: str) -> int:
    """Characters of the longest line, as a terminal counts them."""
    return max(cell_len(line) for line in unstyled(text).split("\n"))
