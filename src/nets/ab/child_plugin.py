"""A pytest plug-in that makes a session take its rounds in turns with another one; `nets ab` loads it by `-p`.

It is copied into a folder of its own, and so works with any revision whose cells are timed by `benchmark.pedantic`:
it must import nothing of nets. The session sends what it is about to do over a pipe, and waits for the answer, so that
the other session has the machine to itself.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Generator
from multiprocessing.connection import Connection
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest

PIPE = "NETS_AB_PIPE"
"""Names the variable with the number of the pipe's descriptor, which this process inherits."""
PARENT = "NETS_AB_PARENT"
"""Names the variable with the number of a descriptor that comes to its end when `nets ab` has ended."""
ISOLATED_FROM = "NETS_AB_ISOLATED_FROM"
"""Names the variable with two folders, in JSON, if this session runs in a worktree: the repository's own working
tree, from which nothing may be imported, and the worktree, which may lie in it."""


class NoMoreRounds(BaseException):
    """Ends a cell's rounds; not an Exception, which pytest-benchmark would take for an error."""


class ParentConnection:
    """The hooks that ask `nets ab`, the parent process, before every step."""

    def __init__(self, descriptor: int) -> None:
        self._pipe = Connection(descriptor)
        os.register_at_fork(after_in_child=self._pipe.close)  # held by a worker, it would hide this process's end

    def ask(self, **question: Any) -> Any:
        """Send a question, and wait for the answer."""
        try:
            self._pipe.send_bytes(json.dumps(question).encode())
            return json.loads(self._pipe.recv_bytes())
        except (OSError, EOFError):
            raise KeyboardInterrupt("nets ab has ended") from None

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Keep the tests that measure cells, in the order that the parent answers."""
        cells: dict[str, Any] = {
            item.nodeid: item
            for item in items
            if "cell_run" in getattr(item, "fixturenames", ()) and hasattr(item, "callspec")
        }
        collected = {nodeid: str(item.callspec.params.get("cell")) for nodeid, item in cells.items()}
        order: list[str] = self.ask(collected=collected, foreign=_foreign_import())
        kept = [cells[nodeid] for nodeid in order]
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = kept

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        """Make each of the cell's rounds wait for its turn."""
        benchmark = getattr(item, "funcargs", {}).get("benchmark")
        if benchmark is not None:
            benchmark.pedantic = self._in_turns(item.nodeid, benchmark)
        return (yield)

    def _in_turns(self, nodeid: str, benchmark: Any) -> Callable[..., None]:
        pedantic: Callable[..., Any] = benchmark.pedantic

        def in_turns(
            target: Callable[..., Any], *, setup: Callable[[], Any] | None = None, rounds: int = 1, **others: Any
        ) -> None:
            step = self.ask(test=nodeid, n_done=0, seconds=None, on_gpu=_is_on_gpu())
            if step == "set up":  # for what is done once; the first round is set up again in its turn, as all are
                if setup is not None:
                    setup()
                step = self.ask(test=nodeid, n_done=0, seconds=None)
            if step == "skip":
                benchmark.skipped = True  # spares a warning that it was not used
                pytest.skip("nets ab was stopped before it")
            seconds: list[float] = []

            def wait() -> Any:
                if seconds:
                    foreign = _foreign_import() if len(seconds) == 1 else None  # the network's module is imported late
                    if self.ask(test=nodeid, n_done=len(seconds), seconds=seconds[-1], foreign=foreign) == "enough":
                        raise NoMoreRounds
                return setup() if setup is not None else None

            def timed(*args: Any, **kwargs: Any) -> Any:
                started = perf_counter()
                result = target(*args, **kwargs)
                seconds.append(perf_counter() - started)
                return result

            try:
                # one round more, so that the parent is asked after the last one as well
                pedantic(timed, setup=wait, rounds=rounds + 1, **others)
            except NoMoreRounds:
                return

        return in_turns


def _is_on_gpu() -> bool:
    """Whether this process has begun to use a GPU, by torch, which is not imported for that."""
    torch = sys.modules.get("torch")
    return torch is not None and bool(torch.cuda.is_initialized())


def _foreign_import() -> str | None:
    """The file of a module imported from the repository's own working tree, except for packages installed there.

    The other session would import the same file, so that one revision would be compared with itself.
    """
    given = os.environ.get(ISOLATED_FROM)
    if not given:
        return None
    tree, own = json.loads(given)
    for module in list(sys.modules.values()):
        named = getattr(module, "__dict__", {}).get("__file__")
        file = Path(named).resolve() if isinstance(named, str) else Path()
        is_ours = file.is_relative_to(own) or file == Path(__file__).resolve()
        if file.is_relative_to(tree) and not is_ours and not _is_installed(file):
            return str(file)
    return None


def _is_installed(file: Path) -> bool:
    """Whether it belongs to an environment that lies in the tree: an installed package, or Python's own library."""
    return "site-packages" in file.parts or file.is_relative_to(sys.base_prefix) or file.is_relative_to(sys.prefix)


def _end_with(parent: int) -> None:
    """Have this process, and those that it started, killed as soon as `nets ab` has ended, were it amid a round.

    By a process that sleeps: a thread would make Python warn of every fork.
    """
    ends_its_group = ["sh", "-c", "read line; kill -9 0"]
    os.posix_spawn("/bin/sh", ends_its_group, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, parent, 0)])
    os.close(parent)


def pytest_configure(config: pytest.Config) -> None:
    """Register the hooks. Raises UsageError if workers are to run rounds at the same time."""
    if config.getoption("dist", "no") != "no":
        raise pytest.UsageError("nets ab measures one round at a time: run it without -n")
    pipe, parent = int(os.environ[PIPE]), int(os.environ[PARENT])
    for each in (pipe, parent):
        os.set_inheritable(each, False)
    _end_with(parent)
    config.pluginmanager.register(ParentConnection(pipe), "nets-ab-turns")
