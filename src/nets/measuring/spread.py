"""Reference runs in several processes at once, each with a GPU or a share of the cores to itself; pure of torch.

What a process gets is in its environment before it imports torch.
"""

from __future__ import annotations

import os
import signal
import traceback
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import TYPE_CHECKING, cast

from nets.errors import NetsError, Unusable
from nets.machine.places import DEVICE, keep_to_cores

if TYPE_CHECKING:
    from nets.measuring.reference_runs import Done, Setting, Task


def run_spread(tasks: Sequence[Task], setting: Setting, environments: Sequence[Mapping[str, str]]) -> Generator[Done]:
    """Run the tasks in as many processes as there are environments, each as it comes to its end.

    Raises what a task raised, or Unusable for a process that was killed; the others end, too.
    """
    left = deque(tasks)
    started = [_started(setting, environment) for environment in environments[: len(left)]]
    try:
        for each in started:
            each.begin(left)
        while busy := {each.connection: each for each in started if each.task is not None}:
            for connection in wait(list(busy)):
                each = busy[cast("Connection", connection)]
                done = each.answer()
                each.begin(left)
                yield done
    finally:
        for each in started:
            each.process.terminate()
            each.process.join()


@dataclass(slots=True)
class _Started:
    """A process, this end of the pipe to it, and what it is doing."""

    process: SpawnProcess
    connection: Connection
    task: Task | None = None

    def begin(self, left: deque[Task]) -> None:
        """Have it run the next task, if there is one."""
        self.task = left.popleft() if left else None
        if self.task is not None:
            with suppress(BrokenPipeError):  # it has ended, which `answer` tells of
                self.connection.send(self.task)

    def answer(self) -> Done:
        """What came of its task."""
        try:
            found: Done | Exception = self.connection.recv()
        except (EOFError, ConnectionResetError):
            self.process.join()
            code = self.process.exitcode or 0
            how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
            raise Unusable(f"{self.task}: its process was ended {how}; the same command goes on") from None
        if isinstance(found, Exception):
            raise found
        return found


def _started(setting: Setting, environment: Mapping[str, str]) -> _Started:
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, setting, dict(environment)))
    with _ignoring_interrupts():
        process.start()
    theirs.close()
    return _Started(process, ours)


@contextmanager
def _ignoring_interrupts() -> Iterator[None]:
    """What is started here is not ended by Ctrl-C, which reaches it, too, but by this process."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _serve(theirs: Connection, setting: Setting, environment: dict[str, str]) -> None:
    """In the new process: run what comes, until nothing comes any more."""
    os.environ.update(environment)
    keep_to_cores()
    from nets.measuring.reference_runs import Runner

    runner: Runner | None = None
    while True:
        try:
            task: Task = theirs.recv()
        except EOFError:
            return
        try:
            runner = runner or Runner(replace(setting, device=environment[DEVICE]))
            theirs.send(runner.run(task))
        except NetsError as error:
            theirs.send(Unusable(str(error)))
        except Exception:
            theirs.send(RuntimeError(f"{task}:\n{traceback.format_exc()}"))
