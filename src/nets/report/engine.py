"""The JavaScript engine that draws charts, in a process of its own.

It takes a second to start and keeps Python's lock meanwhile: there it starts while the page is made here. The process
reads a request a line from its standard input and answers with a line on its standard output; it ends with the input,
however this process ends.
"""

from __future__ import annotations

import atexit
import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from typing import Any

from nets.errors import Unusable

SCALE = 2
"""Pixels of a PNG for each of the SVG's."""
MAX_WAIT_S = 5
_BEGIN = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from nets.report.engine import serve; serve()"


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
            [sys.executable, "-I", "-c", _BEGIN, path],
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


def serve() -> None:
    """Start the engine, and answer what is asked until there is nothing more; this is the process."""
    answered: Mapping[str, Callable[[Any], str]] = {"svg": _drawn, "png": _as_png}
    with suppress(Exception):  # what is asked first then says why
        _drawn({"data": {"values": []}, "mark": "point"})
    for line in sys.stdin:
        kind, what = json.loads(line)
        answer: list[str | None]
        try:
            answer = [answered[kind](what), None]
        except Exception as error:
            answer = [None, f"{type(error).__name__}: {error}"]
        try:
            print(json.dumps(answer), flush=True)
        except BrokenPipeError:  # nobody waits for it any more
            os._exit(0)


def _drawn(spec: dict[str, Any]) -> str:
    import vl_convert

    return str(vl_convert.vegalite_to_svg(spec, allowed_base_urls=[]))


def _as_png(svg_text: str) -> str:
    import vl_convert

    return base64.b64encode(vl_convert.svg_to_png(svg_text, scale=SCALE)).decode()
