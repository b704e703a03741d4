"""A command of `nets`, run in this process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import typer
from typer.testing import CliRunner


@dataclass(frozen=True)
class Ran:
    """What a run of the command left; `output` is the standard one."""

    exit_code: int
    output: str
    stderr: str


def runner(command: Callable[..., None]) -> Callable[..., Ran]:
    """Runs it with arguments; a traceback is never what a user sees."""
    app = typer.Typer()
    app.command()(command)

    def ran(*arguments: str) -> Ran:
        result = CliRunner().invoke(app, list(arguments))
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return Ran(result.exit_code, result.stdout, result.stderr)

    return ran
