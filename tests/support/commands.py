"""A command of `nets`, run in this process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from typer.testing import CliRunner

from nets.cli.app import app


@dataclass(frozen=True)
class Ran:
    """What a run of the command left; `output` is the standard one."""

    exit_code: int
    output: str
    stderr: str


def runner(command: str) -> Callable[..., Ran]:
    """Runs it with arguments; a traceback is never what a user sees."""

    def ran(*arguments: str) -> Ran:
        result = CliRunner().invoke(app, [command, *arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert "Traceback" not in result.stderr
        return Ran(result.exit_code, result.stdout, result.stderr)

    return ran
