"""The process that draws charts: a request a line on its standard input, an answer a line on its standard output.

It ends with its input, however the process ends that asks. It is run by its path and imports nothing of nets, which
would double the time that it takes to start.
"""

import base64
import json
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

SCALE = 2
"""Pixels of a PNG for each of the SVG's."""


def serve() -> None:
    """Start the engine, and answer what is asked until there is nothing more."""
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


if __name__ == "__main__":
    sys.path[:] = json.loads(sys.argv[1])
    serve()
