"""What several commands share: options that are the same everywhere, and holding one run's file against another's."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
Json = Annotated[Path | None, typer.Option("--json", help="Write everything found, with its figures.")]


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
    from nets.records.run import read_run, with_subject
    from nets.report.gate import gate_document, gate_markdown
    from nets.report.sentence import sentence
    from nets.report.text import json_text

    refuse_overwriting(base, head, markdown, json_file)
    found = judge_runs(with_subject(read_run(base)), with_subject(read_run(head)), limits, cells)
    tell(gate_document(found))
    if markdown is not None:
        durable.write(markdown, gate_markdown(found))
    if json_file is not None:
        durable.write(json_file, json_text({**found.to_json(), "sentence": sentence(found)}))
    return found.exit_code


def refuse_overwriting(base: Path, head: Path, *outputs: Path | None) -> None:
    """Refuse to write over a file that is read, twice over one, or into a folder that isn't there. Raises Unusable."""
    taken = {resolved(base), resolved(head)}
    for output in outputs:
        if output is None:
            continue
        if resolved(output) in taken:
            raise Unusable(f"{output}: it is named twice, and would be written over")
        if not output.parent.is_dir():
            raise Unusable(f"{output}: the folder {output.parent} does not exist; make it first")
        taken.add(resolved(output))


def resolved(path: Path) -> Path:
    """Without links. Raises Unusable for links in a circle, of which Python up to 3.12 says so by a RuntimeError."""
    try:
        return path.resolve()
    except (OSError, RuntimeError) as error:
        raise Unusable(f"{path}: too many levels of symbolic links") from error
