"""Lets a pytest session take its rounds in turns with another one; loaded into both sides of `nets ab` by `-p`.

It is copied into a folder of its own, and so works with any revision whose cells are timed by `benchmark.pedantic`:
it must import nothing of nets. The session says over a socket what it is about to do, one JSON line each, and does
nothing until it is answered, so that the other side has the machine to itself.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest

SOCKET = "NETS_AB_SOCKET"
"""The number of the socket's descriptor, which this process inherits."""
NOT_FROM = "NETS_AB_NOT_FROM"
"""Where this side is a worktree: the repository's own working tree, what is imported from which is of no revision, and
the worktree itself, which may lie in it."""


class Enough(BaseException):
    """No further round of this cell; not an Exception, which pytest-benchmark would take for an error."""


class Turns:
    """This side of the conversation."""

    def __init__(self, descriptor: int) -> None:
        self._lines = socket.socket(fileno=descriptor).makefile("rw", encoding="utf-8", newline="\n")

    def ask(self, **said: Any) -> Any:
        """Say something, and wait for the answer."""
        try:
            self._lines.write(json.dumps(said) + "\n")
            self._lines.flush()
            line = self._lines.readline()
        except OSError:
            line = ""
        if not line:
            raise KeyboardInterrupt("nets ab has ended")
        return json.loads(line)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Keep the cells, in the order that both sides have them."""
        cells: dict[str, Any] = {
            item.nodeid: item
            for item in items
            if "cell_run" in getattr(item, "fixturenames", ()) and hasattr(item, "callspec")
        }
        collected = {nodeid: str(item.callspec.params.get("cell")) for nodeid, item in cells.items()}
        order: list[str] = self.ask(collected=collected, stranger=_stranger())
        kept = [cells[nodeid] for nodeid in order]
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = kept

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        """Have the cell's rounds wait for their turn."""
        benchmark = getattr(item, "funcargs", {}).get("benchmark")
        if benchmark is not None:
            benchmark.pedantic = self._in_turns(item.nodeid, benchmark)
        return (yield)

    def _in_turns(self, nodeid: str, benchmark: Any) -> Callable[..., None]:
        pedantic: Callable[..., Any] = benchmark.pedantic

        def in_turns(
            target: Callable[..., Any], *, setup: Callable[[], Any] | None = None, rounds: int = 1, **others: Any
        ) -> None:
            if self.ask(test=nodeid, n_done=0, seconds=None) == "skip":
                benchmark.skipped = True  # spares a warning that it was not used
                pytest.skip("nets ab was stopped before it")
            seconds: list[float] = []

            def wait() -> Any:
                if seconds:
                    stranger = _stranger() if len(seconds) == 1 else None  # a network's module may be imported late
                    if self.ask(test=nodeid, n_done=len(seconds), seconds=seconds[-1], stranger=stranger) == "enough":
                        raise Enough
                return setup() if setup is not None else None

            def timed(*args: Any, **kwargs: Any) -> Any:
                started = perf_counter()
                result = target(*args, **kwargs)
                seconds.append(perf_counter() - started)
                return result

            try:
                # one more, so that after the last round, too, it is asked what is next
                pedantic(timed, setup=wait, rounds=rounds + 1, **others)
            except Enough:
                return

        return in_turns


def _stranger() -> str | None:
    """The file of a module that was imported from the repository's own working tree, but for what is installed there.

    The other side would have imported the same file, and the two revisions would have been one.
    """
    given = os.environ.get(NOT_FROM)
    if not given:
        return None
    tree, own = given.split(os.pathsep)
    for module in list(sys.modules.values()):
        named = getattr(module, "__dict__", {}).get("__file__")
        file = Path(named).resolve() if isinstance(named, str) else Path()
        is_ours = file.is_relative_to(own) or file == Path(__file__).resolve()
        if file.is_relative_to(tree) and not is_ours and not _is_installed(file):
            return str(file)
    return None


def _is_installed(file: Path) -> bool:
    """Whether an environment that lies in the tree holds it: a package, or Python's own library."""
    return "site-packages" in file.parts or file.is_relative_to(sys.base_prefix) or file.is_relative_to(sys.prefix)


def pytest_configure(config: pytest.Config) -> None:
    """Join in. Raises UsageError if workers are to run rounds at the same time."""
    if config.getoption("dist", "no") != "no":
        raise pytest.UsageError("nets ab measures one round at a time: run it without -n")
    config.pluginmanager.register(Turns(int(os.environ[SOCKET])), "nets-ab-turns")
