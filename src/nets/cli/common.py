"""What several commands share: options that are the same everywhere, and holding one run's file against another's."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nets.errors import Unusable

if TYPE_CHECKING:
    from nets.gate.limits import Limits
    from nets.report.document import Part

Cells = Annotated[str | None, typer.Option("--cells", help="Exact ids, comma-separated; all by default.")]
DataDir = Annotated[Path, typer.Option("--data-dir", envvar="NETS_DATA", help="A torchvision root.")]
Config = Annotated[Path | None, typer.Option("--config", help="A TOML file with a table [gate] of limits.")]
Limit = Annotated[
    list[str] | None,
    typer.Option("--limit", help="NAME=VALUE, instead of the file's: time=0.05, or time=5%."),
]
Allow = Annotated[
    list[str] | None,
    typer.Option("--allow", help="Compare on purpose across another torch, cuda, device, threads, bands, ..."),
]
Markdown = Annotated[Path | None, typer.Option("--markdown", help="Write the findings for a job summary.")]
Json = Annotated[
    Path | None,
    typer.Option(
        "--json",
        metavar="FILE",
        help="Write all that is found as JSON, too; with - on standard output, and all else on standard error.",
    ),
]
STANDARD_OUTPUT = Path("-")


def tell(parts: Iterable[Part], *, to_stderr: bool = False) -> None:
    """Print a document on standard output, or on stderr, as wide, and in the colours and characters, as that shows."""
    from nets.report.screen import screen_of
    from nets.report.terminal import terminal_lines

    stream = sys.stderr if to_stderr else sys.stdout
    screen = screen_of(stream)
    lines = terminal_lines(parts, width=screen.width, color=screen.color, encoding=screen.encoding)
    print("\n".join(lines), file=stream, flush=True)


def say(sentence: str, *, to_stderr: bool = False) -> None:
    """Print a sentence, made safe to print."""
    from nets.report.document import Sentence

    tell([Sentence(sentence)], to_stderr=to_stderr)


def limits_of(config: Path | None, limit: list[str] | None, allow: list[str] | None) -> Limits:
    """The file's limits with the command line's. Raises Unusable."""
    from nets.gate.limits import Limits
    from nets.gate.limits_input import changed, read_limits

    return changed(Limits() if config is None else read_limits(config), limit or (), allow or ())


def judge_files(
    base: Path,
    head: Path,
    limits: Limits,
    markdown: Path | None,
    json_file: Path | None,
    cells: Collection[str] = (),
) -> int:
    """Judge two files, write and print what was found, and return the exit code. Raises Unusable."""
    from nets.gate.judge import judge_runs
    from nets.records import durable
    from nets.records.run import with_subject
    from nets.records.run_file import read_run
    from nets.report.gate import gate_document, gate_json, gate_markdown

    demand_writable(markdown, json_file, read=(base, head))
    found = judge_runs(with_subject(read_run(base)), with_subject(read_run(head)), limits, cells)
    with beside_json(json_file):
        tell(gate_document(found))
    if markdown is not None:
        durable.write(markdown, gate_markdown(found))
    write_json(json_file, gate_json(found))
    return found.exit_code


def beside_json(json_file: Path | None) -> AbstractContextManager[object]:
    """What is printed meanwhile goes to standard error where the JSON is to be alone on standard output."""
    return redirect_stdout(sys.stderr) if json_file == STANDARD_OUTPUT else nullcontext()


def write_json(json_file: Path | None, content: Mapping[str, Any]) -> None:
    """Write what `--json` asks for, if it does: a file is replaced whole, or not at all. Raises Unusable.

    The content begins with `schema`, the number of its format, and `kind`; docs/cli.md lists them.
    """
    from nets.records import durable
    from nets.report.text import json_text

    if json_file is None:
        return
    text = json_text(dict(content))
    if json_file == STANDARD_OUTPUT:
        typer.echo(text, nl=False)
    else:
        durable.write(json_file, text)


def demand_writable(*outputs: Path | None, read: Iterable[Path] = (), replaces_result: bool = False) -> None:
    """Refuse, before anything is done, what could not be written at its end; None is no output. Raises Unusable.

    That is a folder, one in a folder that isn't there or takes no file, one of the files that are `read`, or named
    twice; and a result file, unless `replaces_result`.
    """
    taken = {resolved(path) for path in read}
    for output in outputs:
        if output is None:
            continue
        if output.is_dir():
            raise Unusable(f"{output}: it is a folder; name a file")
        place = output if output == STANDARD_OUTPUT else resolved(output)
        if place in taken:
            raise Unusable(f"{output}: it is named twice, and would be written over")
        taken.add(place)
        if output != STANDARD_OUTPUT:
            _demand_place(output, place)
            if not replaces_result:
                demand_no_result(output)


def _demand_place(output: Path, place: Path) -> None:
    """Refuse an output where no file can be made; a device or a pipe is written to as it is. Raises Unusable."""
    from nets.records import durable

    for folder in (output.parent, place.parent):
        if not folder.is_dir():
            raise Unusable(f"{output}: the folder {folder} does not exist; make it first")
    if not output.exists() or output.is_file():
        durable.make_writable(place.parent, str(output))


def demand_no_result(output: Path) -> None:
    """Refuse to write over a file of pytest-benchmark's. Raises Unusable."""
    from nets.records.run_file import is_benchmark_file

    if output.is_file() and is_benchmark_file(output):
        raise Unusable(f"{output}: it is a result file, and would be written over")


def resolved(path: Path) -> Path:
    """Without links. Raises Unusable for links in a circle, of which Python up to 3.12 says so by a RuntimeError."""
    try:
        return path.resolve()
    except (OSError, RuntimeError) as error:
        raise Unusable(f"{path}: too many levels of symbolic links") from error
