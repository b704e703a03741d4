"""The `nets` command: what can be done without pytest; how its errors and exit codes come about."""

from __future__ import annotations

import re
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from nets import __version__
from nets.cli import ab, ab_options, bands, bisect, depth, doctor, gate, history, init, manual, merge, report
from nets.cli.common import say
from nets.errors import STEP_EXIT_CODES, Exit, NetsError

PASS_ON = ("nets ab", "nets bisect", "nets bisect-step")
"""Commands that hand what follows `--` on to pytest."""


class _Interrupted(Exception):
    """Ctrl-C, which typer would end the command for without a word; the message says where, if that is known."""


class Commands(TyperGroup):
    """One handler of errors for all commands: a sentence, and an exit code by the one table."""

    def main(self, args: Sequence[str] | None = None, *others: Any, **options: Any) -> NoReturn:
        """Run a command and exit. A fault of ours, and a reader that went away, leave it open what would have been."""
        from nets.report.screen import write_stand_ins

        write_stand_ins(sys.stdout, sys.stderr)
        given = sys.argv[1:] if args is None else list(args)
        name = next((f"nets {argument}" for argument in given if not argument.startswith("-")), "nets")
        try:
            status = super().main(given, *others, **{**options, "standalone_mode": False})
        except NetsError as error:
            _tell(name, str(error))
            status = Exit.UNUSABLE
        except OSError as error:
            _tell(name, f"{error.filename}: {error.strerror}" if error.filename else str(error))
            status = Exit.UNUSABLE
        except (_Interrupted, KeyboardInterrupt, typer.Abort) as error:
            _tell(name, f"interrupted {error}".rstrip())
            status = Exit.INTERRUPTED
        except SystemExit as ended:
            status = Exit.CANT_TELL if ended.code == 1 else ended.code  # 1: typer's own, of a closed pipe
        except Exception as error:
            if hasattr(error, "show"):  # typer's own, of a wrong option
                error.show()
                _hint(name, getattr(error, "option_name", None))
                status = Exit.UNUSABLE
            elif "torch" in sys.modules and _is_out_of_memory(error):
                _tell(name, f"out of memory: {str(error) or 'the host has no more'}")
                status = Exit.UNUSABLE
            else:
                traceback.print_exc()
                status = Exit.CANT_TELL
        if name == "nets bisect-step" and isinstance(status, int):
            status = STEP_EXIT_CODES.get(status, status)
        sys.exit(status)

    def invoke(self, ctx: Any) -> Any:
        """Run the command that is named."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise _Interrupted(str(error)) from error

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List them by what they are for."""
        for group in manual.GROUPS:
            names = [name for name, each in manual.MANUALS.items() if each.group == group]
            with formatter.section(group):
                formatter.write_dl([(name, self.commands[name].short_help) for name in names])

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write what comes after the commands."""
        manual.write_sections(formatter, manual.SUITE, manual.exit_codes(None))


def _is_out_of_memory(error: Exception) -> bool:
    from nets.machine.device import is_out_of_memory

    return is_out_of_memory(error)


def _hint(name: str, option: str | None) -> None:
    """Say where an option belongs that only pytest knows."""
    if option is not None and name in PASS_ON and ab_options.is_pytest_s(option):
        typer.echo(f"{option} is an option of pytest: those go after `--`: {name} ... -- {option}", err=True)


def _tell(name: str, sentence: str) -> None:
    say(f"{name}: {sentence}", to_stderr=True)


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # it takes "[gate]" for markup, and breaks paragraphs where the source does
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"nets {__version__}, torch {_torch()}; {_device()}")
        raise typer.Exit


def _torch() -> str:
    """Torch's version and what it was built for, without the seconds that importing it takes."""
    spec = find_spec("torch")
    if spec is None or spec.origin is None:
        return "is not installed"
    try:
        facts = Path(spec.origin).with_name("version.py").read_text(encoding="utf-8")
        built_for = {name: re.search(rf"(?m)^{name}\b[^=\n]*= '([^']+)'", facts) for name in ("cuda", "hip")}
        names = [f"{name.upper()} {found[1]}" for name, found in built_for.items() if found]
        return f"{version('torch')} for {names[0] if names else 'the CPU'}"
    except (PackageNotFoundError, OSError, UnicodeDecodeError):
        return "of an unknown version"


def _device() -> str:
    """The GPUs that the driver names, and the CPU, without torch."""
    from nets.machine import nvml
    from nets.machine.cpu import cpu_name

    try:
        names = nvml.with_patience(lambda: [nvml.NvmlDevice(uuid).facts().name for uuid in nvml.gpu_uuids()])
    except NetsError:
        names = []
    gpus = ", ".join(f"{n} x {name}" if n > 1 else name for name, n in Counter(names).items())
    return f"GPU: {gpus or 'none that NVML knows'}; CPU: {cpu_name()}"


@app.callback()
def nets(
    is_version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print versions and devices, and exit.")
    ] = False,
) -> None:
    """Train and evaluate small networks, and say what each costs. The benchmark itself is `pytest benchmarks/`."""


def _first_paragraph(command: Callable[..., object]) -> str:
    """What the list of commands says of one; of its own choice click cuts it."""
    return " ".join((command.__doc__ or "").partition("\n\n")[0].split())


COMMANDS: tuple[Callable[..., None], ...] = (
    depth.depth, gate.gate, ab.ab, bisect.bisect, bisect.bisect_step, history.history, bands.bands, report.report,
    merge.merge, init.init, doctor.doctor,
)  # fmt: skip
for command in COMMANDS:
    app.command(cls=manual.Command, short_help=_first_paragraph(command))(command)


def main() -> None:
    """Entry point."""
    app()
