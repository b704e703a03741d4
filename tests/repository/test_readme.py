"""The README is true where a test can tell."""

from __future__ import annotations

import re

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from nets.cli.app import app
from nets.plugin import options
from tests.support.suite import REPOSITORY, Suite

README = (REPOSITORY / "README.md").read_text()
BLOCKS = re.findall(r"```\n(.*?)\n```", README, flags=re.DOTALL)


def test_ci_runs_the_readme_s_test_command() -> None:
    """.ci/run holds the README's second command, letter by letter, and the GitHub workflow calls .ci/run."""
    benchmark, tests = BLOCKS[:2]
    assert benchmark.endswith("pytest benchmarks/ --benchmark-json out.json")
    assert tests in (REPOSITORY / ".ci" / "run").read_text().splitlines()
    assert "run: bash .ci/run" in (REPOSITORY / ".github" / "workflows" / "ci.yml").read_text()


def test_every_option_is_named() -> None:
    """Every option of the suite is in the README, and the README names no other but the command's."""
    parser = pytest.Parser(_ispytest=True)
    options.add_options(parser)
    (group,) = (group for group in parser._groups if group.name == "nets")
    known = {name for option in group.options for name in option.names()}
    named = set(re.findall(r"--[a-z][a-z-]+", README)) - {"--benchmark-json"}
    commands = {option for command in get_command(app).commands.values() for p in command.params for option in p.opts}  # type: ignore[attr-defined]  # it is a group
    assert known <= named <= known | commands


@pytest.mark.usefixtures("one_epoch")
def test_the_own_network_works_as_pasted(suite: Suite) -> None:
    """The README's example of one's own network, and the commands below and above it, run as they are."""
    (example,) = re.findall(r"```python\n# my_nets.py\n(.*?)```", README, flags=re.DOTALL)
    (suite.path / "my_nets.py").write_text(example)
    assert "\npytest benchmarks/ --nets my_nets.py --cells digits-mlp3,digits-lenet5\n" in README
    result = suite.run("--nets", "my_nets.py", "--cells", "digits-mlp3,digits-lenet5", "--rounds", "1", "--epochs", "1")
    result.assert_outcomes(passed=2)
    commands = [line.split()[1:] for line in README.splitlines() if line.startswith("nets depth ")]
    assert len(commands) == 2
    for command in commands:
        told = CliRunner().invoke(app, [*command, *(["--rounds", "1"] if "--dataset" in command else [])])
        assert told.exit_code == 0, told.output


def test_no_placeholder_is_left() -> None:
    """The README's tables are filled."""
    assert "RESULTS" not in README
    assert "TODO" not in README
