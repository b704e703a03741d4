"""The README is true where a test can tell."""

from __future__ import annotations

import re

import pytest

from nets import options
from tests.suite import REPOSITORY

README = (REPOSITORY / "README.md").read_text()
BLOCKS = re.findall(r"```\n(.*?)\n```", README, flags=re.DOTALL)


def test_ci_runs_the_readme_s_test_command() -> None:
    """.ci/run holds the README's second command, letter by letter, and the GitHub workflow calls .ci/run."""
    benchmark, tests = BLOCKS[:2]
    assert benchmark.endswith("pytest benchmarks/ --benchmark-json out.json")
    assert tests in (REPOSITORY / ".ci" / "run").read_text().splitlines()
    assert "run: bash .ci/run" in (REPOSITORY / ".github" / "workflows" / "ci.yml").read_text()


def test_every_option_is_named() -> None:
    """Every option of the suite is in the README, and the README names no other."""
    parser = pytest.Parser(_ispytest=True)
    options.add_options(parser)
    (group,) = (group for group in parser._groups if group.name == "nets")
    known = {name for option in group.options for name in option.names()}
    named = set(re.findall(r"--[a-z][a-z-]+", README)) - {"--benchmark-json"}
    assert named == known


def test_no_placeholder_is_left() -> None:
    """The README's tables are filled."""
    assert "RESULTS" not in README
    assert "TODO" not in README
