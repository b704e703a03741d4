"""The commands on terminals of every width and kind, in pipes, and with output that can't hold every character."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import typer

from nets.cli.app import app
from nets.verdicts import band_rates
from tests.report.test_run import on_gpu
from tests.support.gating import content, rounds
from tests.support.histories import stepped
from tests.support.records import GROWTH, record, seen_of_gpu, traced
from tests.support.suite import REPOSITORY
from tests.support.terminals import environment, in_pipe, in_terminal, longest, unstyled

WIDTHS = (60, 80, 120, 200)
COMMANDS: Mapping[str, list[str]] = {
    "report": ["report", "a.json"],
    "report of two": ["report", "a.json", "b.json"],
    "gate": ["gate", "a.json", "b.json"],
    "history": ["history", "runs", "--all"],
    "depth": ["depth", "torchvision:resnet18", "--input", "3x32x32", "--structure-only", "--layers"],
    "bands": ["bands", "--rates", "--file", "bands.toml"],
    "an error": ["report", f"{30 * 'not '}there.json"],
    "a wrong option": ["gate", "--nosuch"],
    "help": ["gate", "--help"],
}
COMMAND: Any = typer.main.get_command(app)
EXIT_CODES = {"gate": 1, "an error": 2, "a wrong option": 2}


@pytest.fixture
def files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Runs with every kind of part, a history, and a bands file, whose rates are of few trials."""
    monkeypatch.setattr(band_rates, "TRIALS", 20)
    monkeypatch.setattr(band_rates, "simulated", lambda n, seed: 0.001)
    seen = seen_of_gpu("soak", reasons=("another process is on the GPU",), utilization_pct=93.0, power_w=150.0)
    gpu = on_gpu(seen, trace=traced(), trace_missing_because=None)
    cells = [
        record(dataset=dataset, model=model, **gpu) for dataset in ("mnist", "shapes") for model in ("a", "lenet5")
    ]
    for name, all_cells in {"a": cells, "b": [each.replace(rounds=rounds([9.0])) for each in cells]}.items():
        found = content(*all_cells)
        found["benchmarks"].append({"name": "growth", "stats": {}, "extra_info": GROWTH.to_json()})
        (folder / f"{name}.json").write_text(json.dumps(found))
    stepped()
    (folder / "bands.toml").write_bytes((REPOSITORY / "benchmarks" / "bands.toml").read_bytes())
    return folder


def ran(command: str, charset: str = "utf-8", **environment: str) -> str:
    """What a command printed, on both streams, and that it ended as it should."""
    status, output = in_pipe(COMMANDS[command], charset, **environment)
    assert status == EXIT_CODES.get(command, 0), output
    assert "Traceback" not in output
    return output


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("command", COMMANDS)
def test_no_line_is_longer_than_the_terminal(command: str) -> None:
    """Nothing that a command prints is wider than the terminal, and no number is cut or broken."""
    natural = set(re.findall(r"\d[\d.,]*\d", ran(command)))
    for width in WIDTHS:
        output = ran(command, COLUMNS=str(width))
        assert longest(output) <= width, output
        if command not in ("help", "a wrong option", "history"):  # whose trends, and so numbers, go by the width
            assert set(re.findall(r"\d[\d.,]*\d", output)) == natural


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("charset", ["latin-1", "ascii"])
def test_output_that_lacks_characters(command: str, charset: str) -> None:
    """Each command ends as it does elsewhere, with stand-ins for what its output can't hold, as wide as it is."""
    output = ran(command, charset, COLUMNS="80")
    assert output.strip()
    assert longest(output) <= 80


def test_a_pipe_is_not_folded(files: Path) -> None:
    """Without COLUMNS a file gets each row on one line, in UTF-8, in Latin-1, and in C's own locale without UTF-8."""
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    lines = {}
    for name, changes in (("utf-8", {}), ("latin-1", {"PYTHONIOENCODING": "latin-1"}), ("ascii", locale)):
        done = subprocess.run(
            [sys.executable, "-m", "nets", "gate", "a.json", "b.json"], cwd=files, capture_output=True,
            env=environment(**changes),
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (1, b"")
        lines[name] = done.stdout.decode(name).splitlines()
    assert any(len(line) > 90 for line in lines["utf-8"])
    assert [line.replace("–", "-").replace("─", "-") for line in lines["utf-8"]] == lines["latin-1"] == lines["ascii"]


@pytest.mark.usefixtures("forked")
@pytest.mark.parametrize("width", [*WIDTHS, 0])
def test_in_a_terminal(files: Path, width: int) -> None:
    """In a real one the lines are within its width, 80 where that is unknown, and in colour."""
    status, output = in_terminal(["-m", "nets", "report", "a.json"], width=width, folder=files)
    assert status == 0
    assert longest(output) <= (width or 80)
    assert "\x1b[" in output
    assert "61,706" in output


@pytest.mark.usefixtures("forked")
@pytest.mark.parametrize(
    ("changes", "is_colored"),
    [
        ({"TERM": "dumb"}, False),
        ({"NO_COLOR": "1"}, False),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
        ({"FORCE_COLOR": "1", "TERM": "dumb"}, True),
    ],
)
def test_color_in_a_terminal(files: Path, changes: dict[str, str], is_colored: bool) -> None:
    """A dumb terminal and NO_COLOR get no escape at all, whole numbers all the same; FORCE_COLOR forces colour."""
    status, output = in_terminal(["-m", "nets", "report", "a.json"], width=200, folder=files, **changes)
    assert status == 0
    assert ("\x1b[" in output) == is_colored
    assert "61,706" in output
    assert "…" not in output


@pytest.mark.usefixtures("files")
def test_forced_color_in_a_pipe() -> None:
    """FORCE_COLOR colours what goes through a pipe, and changes none of its text."""
    forced = ran("gate", FORCE_COLOR="1")
    assert "\x1b[31m" in forced
    assert unstyled(forced) == ran("gate")


def said_in_help(command: Any) -> list[str]:
    """What the help says of each argument and option, and of the command."""
    texts = [getattr(each, "help", None) or "" for each in command.params]
    return [*filter(None, texts), *(command.help or "").split("\n\n"), command.epilog or ""]


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("name", ["", *COMMAND.commands])
def test_help_is_whole(name: str, width: int) -> None:
    """Each option's help is there to the last word, names in brackets too, within the width."""
    command = COMMAND.commands[name] if name else COMMAND
    status, output = in_pipe([*filter(None, [name]), "--help"], COLUMNS=str(width))
    assert status == 0
    assert longest(output) <= width
    told = "".join(output.split())  # lines end after hyphens, too
    for text in said_in_help(command):
        assert "".join(text.split()) in told
    if not name:
        for each in command.commands.values():
            assert "".join((each.callback.__doc__ or "").partition("\n\n")[0].split()) in told


def test_names_in_brackets_are_seen() -> None:
    """`[gate]`, the table of the limits, is in the help of every command that takes them."""
    for command in ("gate", "ab", "bisect", "bisect-step"):
        _, output = in_pipe([command, "--help"])
        assert "[gate]" in output, command
