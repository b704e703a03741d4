"""What pytest's terminal shows of a session: progress, the order of the sections, and their width."""

from __future__ import annotations

import json
import re

import pytest

from tests.plugin.test_gate_option import changed
from tests.support.suite import Suite
from tests.support.terminals import in_terminal, longest, unstyled

TWO = ("--cells", "digits-snn500,digits-lenet5", "--epochs", "1", "--rounds", "1", "--device", "cpu")
RULE = re.compile(r"^=+ (.*?) =+$|^-+ (benchmark): ", re.MULTILINE)


@pytest.fixture
def suite(pytester: pytest.Pytester) -> Suite:
    """A repository that uses the suite, without the second that pytest-benchmark takes to look at the processor."""
    made = Suite(pytester)
    pytester.makepyfile(no_cpuinfo="import pytest_benchmark.plugin\npytest_benchmark.plugin.get_cpu_info = dict\n")
    return made


def watched(suite: Suite, *arguments: str, width: int, **changes: str) -> str:
    """What a person sees of a session, every character of it."""
    every = ["-m", "pytest", "-p", "no_cpuinfo", "benchmarks", "--benchmark-json", str(suite.out), *TWO, *arguments]
    _, output = in_terminal(every, width=width, folder=suite.path, **changes)
    return output


def sections(output: str) -> list[str]:
    """The titles of pytest's sections and of pytest-benchmark's table, in order."""
    return [title or table for title, table in RULE.findall(unstyled(output))]


def own_lines(output: str) -> str:
    """What the suite says in the summary."""
    return re.split(r"^=+ nets =+$", unstyled(output), flags=re.MULTILINE)[1]


@pytest.mark.usefixtures("forked")
def test_in_a_terminal(suite: Suite) -> None:
    """The line says which cell of how many; the suite's sections come last, the gate's below, within the width."""
    output = watched(suite, width=80)
    assert "cell 1 of 2  digits-snn500  round 1/1" in output
    assert "cell 2 of 2  digits-lenet5  round 1/1" in output
    assert sections(output)[:3] == ["test session starts", "benchmark", "nets"]
    assert longest(own_lines(output)) <= 80
    torch = json.loads(suite.out.read_bytes())["machine_info"]["nets"]["versions"]["torch"]
    gone = changed(suite.out, torch=torch, model="gone")
    output = watched(suite, "--gate", gone, "-k", "lenet5", width=60, TERM="dumb")
    assert "\x1b" not in output
    assert sections(output)[:4] == ["test session starts", "benchmark", "nets", "nets gate"]
    assert "1 passed" in sections(output)[-1]
    assert longest(own_lines(output)) <= 60


def test_failures_stay_where_pytest_puts_them(suite: Suite) -> None:
    """Above the suite's sections what failed in full, below them pytest's short summary and its last line."""
    suite.conftest("def pytest_nets_check(cell, result):\n    assert cell.id != 'digits-snn500', 'too dear'\n")
    done = suite.run("--cells", "digits-snn500", "--epochs", "1", "--rounds", "1")
    titles = sections(done.stdout.str())
    assert titles.index("FAILURES") < titles.index("nets") < titles.index("short test summary info")
    assert titles[-1].startswith("1 failed")


def test_the_sections_come_though_another_fails(suite: Suite) -> None:
    """Where pytest-benchmark ends its own section with an error, as for --benchmark-compare-fail, ours are there."""
    short = ("--cells", "digits-snn500", "--epochs", "1", "--rounds", "1")
    suite.run(*short, "--benchmark-save", "one")
    stored = next(suite.path.rglob("0001_one.json"))
    fastest = json.loads(stored.read_text())
    fastest["benchmarks"][0]["stats"]["max"] = 1e-9
    stored.write_text(json.dumps(fastest))
    base = suite.out.rename(suite.path / "base.json")
    failing = ("--benchmark-compare", "--benchmark-compare-fail", "max:1%")
    done = suite.run(*short, *failing, "--gate", str(base))
    assert done.ret != 0
    assert "Performance has regressed" in done.stdout.str() + done.stderr.str()
    titles = sections(done.stdout.str())
    assert titles.index("benchmark") < titles.index("nets") < titles.index("nets gate")


@pytest.mark.usefixtures("forked")
def test_a_summary_in_ascii(suite: Suite) -> None:
    """Where pytest's output can't hold every character, the summary has stand-ins, and the session ends as it does."""
    output = watched(suite, "-k", "snn500", width=120, PYTHONIOENCODING="ascii")
    assert output.isascii()
    assert "\\u" not in output
    assert sections(output)[-1].startswith("1 passed")
