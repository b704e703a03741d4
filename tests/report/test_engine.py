"""The process that draws: it says why it can't, another follows one that is killed, and none is left behind."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from nets.errors import Unusable
from nets.report import engine
from tests.support.killing import in_run

SPEC = {"data": {"values": [{"x": 1, "y": 2}]}, "mark": "point", "encoding": {"x": {"field": "x"}, "y": {"field": "y"}}}
LEFT_OPEN = """
import os, signal
from nets.report import engine
engine.start()
print(engine._engine()._process.pid, flush=True)
engine.svg({spec!r})
{end}
"""


def test_several_in_a_row() -> None:
    """What is asked together is answered in order, the same for the same specification."""
    first, second = engine.svg(SPEC), engine.svg({**SPEC, "mark": "bar"})
    assert first.result().startswith("<svg")
    assert second.result().startswith("<svg")
    assert first.result() != second.result()
    assert engine.svg(SPEC).result() == first.result()


def test_what_cannot_be_drawn() -> None:
    """A specification that is none is named as the reason, and the engine goes on."""
    with pytest.raises(Unusable, match=r"^a chart can't be drawn: ValueError: "):
        engine.svg({"mark": 7}).result()
    with pytest.raises(Unusable, match=r"^a chart can't be drawn: "):
        engine.png("<no svg")
    assert engine.svg(SPEC).result().startswith("<svg")


def test_killed() -> None:
    """A process that is killed is one sentence with its exit status, and the next request starts another."""
    killed = engine._engine()._process
    killed.send_signal(signal.SIGKILL)
    with pytest.raises(Unusable, match="the process that draws them ended with -9; try it again"):
        engine.svg(SPEC).result()
    assert engine.svg(SPEC).result().startswith("<svg")
    assert engine._engine()._process.pid != killed.pid


@pytest.mark.parametrize("end", ["", "os.kill(os.getpid(), signal.SIGKILL)"], ids=["ended", "killed"])
def test_none_is_left(end: str) -> None:
    """However the process that asks ends, the one that draws ends, too."""
    code = LEFT_OPEN.format(spec=SPEC, end=end)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    # both pipes are closed only when the last process that holds them has ended
    pid = int(done.stdout.split()[0])
    assert done.stderr == ""
    assert not in_run(pid)
