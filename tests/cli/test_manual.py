"""The help of every command: whole as a manual page, in the words of one table, with examples that its parser takes."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
from typing import Any

import pytest
import typer

from nets.cli.app import app
from nets.cli.manual import GROUPS, MANUALS, SUITE, Example, exit_codes
from nets.errors import EXIT_CODES, STEP_EXIT_CODES, Exit
from nets.plugin import options
from tests.support.suite import REPOSITORY
from tests.support.terminals import in_pipe, longest

COMMAND: Any = typer.main.get_command(app)
NAMES = ["", *COMMAND.commands]
OF_ITS_OWN_PROCESS = "report/engine_process.py"
"""What ends there is the process that draws, never a command."""
SECTIONS = ("Examples", "Exit codes", "Documentation")


def help_of(name: str, option: str = "--help") -> str:
    """What a command, or `nets` itself, says of itself on a terminal of 80 columns."""
    status, told = in_pipe([*filter(None, [name]), option], COLUMNS="80")
    assert status == 0
    return told


def section(told: str, heading: str) -> str:
    """What stands below a heading, without the margin."""
    (found,) = re.findall(rf"(?m)^{heading}:\n((?:(?:  .*)?\n)+)", told)
    return re.sub("(?m)^  ", "", found.rstrip("\n"))


def examples_of(name: str) -> tuple[Example, ...]:
    """Those of a command, or of `nets` itself."""
    return MANUALS[name].examples if name else SUITE


@pytest.mark.parametrize("name", NAMES)
def test_the_sections_of_every_help(name: str) -> None:
    """Examples, exit codes and pages end each help, in this order, within 80 columns; examples can be pasted."""
    told = help_of(name)
    assert longest(told) <= 80
    places = [told.index(f"\n{heading}:\n") for heading in SECTIONS]
    assert places == sorted(places) > [told.index("\nOptions:\n")]
    pasted = [line[2:] for line in section(told, SECTIONS[0]).replace("\\\n", "").splitlines() if line[:2] == "  "]
    assert [shlex.split(line) for line in pasted] == [shlex.split(each.line) for each in examples_of(name)]
    codes = " ".join(section(told, SECTIONS[1]).split())
    assert codes == " ".join(f"{code} {meaning}" for code, meaning in exit_codes(name).items())
    pages = re.findall(r"docs/\w+\.md", section(told, SECTIONS[2]))
    assert "docs/cli.md" in pages
    assert all((REPOSITORY / page).is_file() for page in pages)


@pytest.mark.parametrize("name", NAMES)
def test_h(name: str) -> None:
    """-h is --help in every command."""
    assert help_of(name, "-h") == help_of(name)


def test_commands_stand_in_groups() -> None:
    """`nets --help` lists each command once, below what it is for."""
    told = help_of("")
    listed = {group: re.findall(r"(?m)^([\w-]+)  ", section(told, group)) for group in GROUPS}
    assert sorted(name for names in listed.values() for name in names) == sorted(COMMAND.commands)
    assert all(MANUALS[name].group == group for group, names in listed.items() for name in names)


def test_one_table_of_exit_codes() -> None:
    """Every code has one meaning, which the README has too; git's own two stand in place of those that they replace."""
    readme = (REPOSITORY / "README.md").read_text()
    assert set(EXIT_CODES) == set(Exit)
    assert re.findall(r"(?m)^\| (\d+) \| (.*) \|$", readme) == [(str(c.value), m) for c, m in EXIT_CODES.items()]
    assert exit_codes("bisect-step") == {
        0: EXIT_CODES[Exit.FINE],
        1: EXIT_CODES[Exit.REGRESSED],
        125: EXIT_CODES[Exit.CANT_TELL],
        128: EXIT_CODES[Exit.UNUSABLE],
        130: EXIT_CODES[Exit.INTERRUPTED],
        143: EXIT_CODES[Exit.TERMINATED],
    }
    assert set(STEP_EXIT_CODES) <= set(Exit)


def exits() -> list[str]:
    """What the code ends the program with, wherever it does; of a choice each part."""
    calls = ("typer.Exit", "SystemExit", "sys.exit", "os._exit")
    package = REPOSITORY / "src" / "nets"
    texts = [path.read_text() for path in sorted({*package.rglob("*.py")} - {package / OF_ITS_OWN_PROCESS})]
    nodes = [node for text in texts if any(f"{call}(" in text for call in calls) for node in ast.walk(ast.parse(text))]
    of_calls = [each for each in nodes if isinstance(each, ast.Call) and ast.unparse(each.func) in calls]
    return [ast.unparse(part) for call in of_calls for argument in call.args for part in parts(argument)]


def parts(choice: ast.expr) -> list[ast.expr]:
    """What a conditional expression may be."""
    return [*parts(choice.body), *parts(choice.orelse)] if isinstance(choice, ast.IfExp) else [choice]


def test_every_exit_is_in_the_table() -> None:
    """The code ends with members of the table alone, by name or as what was judged, never with a bare number."""
    found = exits()
    assert len(found) >= 10
    named = {each for each in found if each.startswith("Exit.")}
    assert named <= {f"Exit.{name}" for name in Exit.__members__}
    judged = "judge_files(base, head, limits_of(config, limit, allow), markdown, json_file, chosen)"
    assert set(found) - named == {"status", "exit_code", "gate.exit_code", judged}


def parsed(words: list[str]) -> Any:
    """A command's own parameters, by its own parser; it does not run."""
    program, name, *arguments = words
    assert program == "nets"
    return COMMAND.commands[name].make_context(name, arguments).params


@pytest.mark.parametrize("name", NAMES)
def test_the_examples_are_possible(name: str) -> None:
    """Each example is taken by its command's parser, with pytest's options after --; there are two or three of each."""
    parser = pytest.Parser(_ispytest=True)
    options.add_options(parser)
    of_pytest = {option for group in parser._groups for each in group.options for option in each.names()}
    of_pytest.add("--benchmark-json")
    examples = examples_of(name)
    assert 2 <= len(examples) <= 3
    for each in examples:
        words = shlex.split(each.line.partition(" | ")[0].removeprefix("git bisect run "))
        if words[0] != "pytest":
            assert not name or words[1] == name
            words = parsed(words).get("pytest_args") or []
        assert {word.partition("=")[0] for word in words if word.startswith("--")} <= of_pytest


def test_an_option_that_is_none() -> None:
    """The parser that takes the examples refuses an option that isn't there."""
    with pytest.raises(Exception, match="--nosuch"):
        parsed(["nets", "gate", "a", "b", "--nosuch"])


def test_python_m_nets() -> None:
    """`python -m nets` is `nets`."""
    done = subprocess.run([sys.executable, "-m", "nets", "gate", "-h"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Usage: ")
    assert section(done.stdout, "Exit codes").startswith("0 ")
