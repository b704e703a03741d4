"""The JavaScript engine that draws charts, in a process of its own: that of `engine_process.py`.

It takes a second to start and keeps Python's lock meanwhile: there it starts while the page is made here.
"""

from __future__ import annotations

import atexit
import base64
import json
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from nets.errors import Unusable

MAX_WAIT_S = 5


def start() -> None:
    """Have the engine started, if it isn't, and go on."""
    _engine()


def svg(spec: Mapping[str, Any]) -> Future[str]:
    """A Vega-Lite specification as SVG, when its turn has come. The result raises Unusable where it can't be drawn."""
    return _engine().ask("svg", spec)


def png(svg_text: str) -> bytes:
    """An SVG as a PNG. Raises Unusable where it can't be drawn."""
    return base64.b64decode(_engine().ask("png", svg_text).result())


@cache
def _engine() -> _Engine:
    return _Engine()


class _Engine:
    """The process, and a thread that waits for it."""

    def __init__(self) -> None:
        path = json.dumps([each for each in sys.path if each])
        self._process = subprocess.Popen(
            [sys.executable, "-I", str(Path(__file__).with_name("engine_process.py")), path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            process_group=0,  # Ctrl-C is this process's alone
        )
        self._thread = ThreadPoolExecutor(1)
        atexit.register(self._end)

    def ask(self, kind: str, what: object) -> Future[str]:
        return self._thread.submit(self._answer, kind, what)

    def _answer(self, kind: str, what: object) -> str:
        requests, answers = self._process.stdin, self._process.stdout
        assert requests is not None
        assert answers is not None
        line = ""
        with suppress(OSError):
            requests.write(json.dumps([kind, what]) + "\n")
            requests.flush()
            line = answers.readline()
        if not line.endswith("\n"):
            _engine.cache_clear()  # the next request starts another
            code = self._process.wait(MAX_WAIT_S)
            raise Unusable(f"the charts can't be drawn: the process that draws them ended with {code}; try it again")
        answer, error = json.loads(line)
        if error is not None:
            raise Unusable(f"a chart can't be drawn: {error}")
        return str(answer)

    def _end(self) -> None:
        self._process.kill()  # what it may still draw nobody waits for
        self._thread.shutdown(cancel_futures=True)
        self._process.communicate()
