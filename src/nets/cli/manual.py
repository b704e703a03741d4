"""What a command's help says after its options: examples, exit codes, and where the documentation is."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from typer.core import TyperCommand

from nets.errors import EXIT_CODES, STEP_EXIT_CODES

Group = Literal["Measure", "Judge", "Look", "Set up"]
"""What a command is for, in the order in which `nets --help` lists them."""
GROUPS: tuple[Group, ...] = get_args(Group)
ABOUT_ALL = "docs/cli.md"
"""The page on what all commands have in common."""


@dataclass(frozen=True, slots=True)
class Example:
    """A command line, and what it is for."""

    says: str
    line: str


@dataclass(frozen=True, slots=True)
class Manual:
    """`docs`: the pages on this command; the one on all commands is added."""

    group: Group
    docs: tuple[str, ...]
    examples: tuple[Example, ...]


SUITE = (
    Example("Train, evaluate and judge ten cells:", "pytest benchmarks/ --benchmark-json out.json"),
    Example("Look at that run as one page:", "nets report out.json --html report.html"),
    Example("Has this branch become slower than main, or less accurate?", "nets ab main HEAD --cells digits-lenet5"),
)
"""Of `nets` itself."""
MANUALS: Mapping[str, Manual] = {
    "depth": Manual(
        "Measure",
        ("docs/depth.md",),
        (
            Example(
                "How many layers has a network of torchvision's? Nothing is trained:",
                "nets depth torchvision:resnet18 --input 3x32x32 --structure-only",
            ),
            Example("What does one of your own cost, beside LeNet-5?", "nets depth my_nets.py:mlp3 --dataset digits"),
            Example(
                "Module by module, with the time of each, for a program to read:",
                "nets depth my_nets.py:mlp3 --dataset digits --layers --json depth.json",
            ),
        ),
    ),
    "bands": Manual(
        "Measure",
        ("docs/depth.md", "docs/scale.md"),
        (
            Example("Twenty reference runs of each cell of a list:", "nets bands --cells digits-snn500,digits-lenet5"),
            Example(
                "The article's protocol, on four GPUs at once:", "nets bands --protocol article -n 4 --device cuda"
            ),
            Example("How often do the bands err, and what do they catch?", "nets bands --rates"),
        ),
    ),
    "ab": Manual(
        "Judge",
        ("docs/gate.md", "docs/ci.md"),
        (
            Example("A branch against main, on one cell:", "nets ab main HEAD --cells digits-lenet5"),
            Example(
                "What is not committed yet, on a network of your own; what follows -- is pytest's:",
                "nets ab HEAD . --nets my_nets.py --cells digits-mlp3 -- --epochs 2",
            ),
            Example(
                "The same code under another torch, the verdict in a file for a program:",
                "nets ab HEAD HEAD --python-b new/bin/python --json ab.json",
            ),
        ),
    ),
    "bisect": Manual(
        "Judge",
        ("docs/gate.md",),
        (
            Example("Since which commit is it slower?", "nets bisect v1.0 HEAD --cells digits-lenet5"),
            Example(
                "A smaller slowdown counts, and a comparison may take an hour:",
                "nets bisect v1.0 HEAD --limit time=1% --max-sittings 96 --max-minutes 60",
            ),
        ),
    ),
    "bisect-step": Manual(
        "Judge",
        ("docs/gate.md",),
        (
            Example(
                "In a bisection of your own, after git bisect start HEAD v1.0:",
                "git bisect run nets bisect-step v1.0 --cells digits-lenet5",
            ),
            Example("One step by hand:", "nets bisect-step v1.0 --cells digits-lenet5 --json step.json"),
        ),
    ),
    "gate": Manual(
        "Judge",
        ("docs/gate.md",),
        (
            Example("A run against a stored one:", "nets gate base.json head.json"),
            Example(
                "By the limits of a file, across another torch on purpose:",
                "nets gate base.json head.json --config benchmarks/gate.toml --allow torch",
            ),
            Example("The verdict for another program:", "nets gate base.json head.json --json - | jq .exit_code"),
        ),
    ),
    "merge": Manual(
        "Judge",
        ("docs/scale.md",),
        (
            Example("The shards of a run as one file:", "nets merge shard-1.json shard-2.json -o out.json"),
            Example(
                "All of them, held against a stored run:",
                "nets merge shard-1.json shard-2.json -o out.json --gate base.json",
            ),
            Example("What there is of them:", "nets merge shard-2.json -o some.json --partial"),
        ),
    ),
    "report": Manual(
        "Look",
        ("docs/report.md",),
        (
            Example("A run's table again:", "nets report out.json"),
            Example(
                "One page: a run, what changed since another, and a folder's history:",
                "nets report new.json old.json results/ --html report.html",
            ),
            Example("Every figure of every run as CSV:", "nets report results/ --csv all.csv"),
        ),
    ),
    "history": Manual(
        "Look",
        ("docs/history.md",),
        (
            Example("Where did a figure change?", "nets history .benchmarks"),
            Example(
                "Of the last fifty commits of main, two metrics alone:",
                "nets history results/ --branch main --last 50 --metric total_s,accuracy",
            ),
            Example("For other programs:", "nets history results/ --json history.json --export charts"),
        ),
    ),
    "init": Manual(
        "Set up",
        ("docs/ci.md",),
        (
            Example("A benchmark of your own networks, with its gate:", "nets init --nets my_nets.py"),
            Example("Without GitHub's workflows, in a folder of another name:", "nets init --ci none --folder perf"),
            Example("What is missing or outdated? Nothing is written:", "nets init --check"),
        ),
    ),
    "doctor": Manual(
        "Set up",
        (),
        (
            Example("What would not work here, and why?", "nets doctor"),
            Example("The same for a report of a fault:", "nets doctor --data-dir data --json doctor.json"),
        ),
    ),
}
"""Of each command, in the order in which they are listed."""


def exit_codes(command: str | None) -> dict[int, str]:
    """What each exit code of a command means, in words that are the same for all; None: of `nets` itself."""
    changed = STEP_EXIT_CODES if command == "bisect-step" else {}
    return dict(sorted((changed.get(code, code.value), meaning) for code, meaning in EXIT_CODES.items()))


class Command(TyperCommand):
    """A command whose help is as whole as a manual page."""

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write what comes after the options."""
        assert self.name is not None
        manual = MANUALS[self.name]
        write_sections(formatter, manual.examples, exit_codes(self.name), manual.docs)


def write_sections(
    formatter: Any, examples: Iterable[Example], codes: Mapping[int, str], docs: tuple[str, ...] = ()
) -> None:
    """Write them as click writes options; a line that is too long for the screen goes on as a shell would read it."""
    with formatter.section("Examples"):
        for example in examples:
            formatter.write_text(example.says)
            with formatter.indentation():
                for line in _folded(example.line, formatter.width - formatter.current_indent):
                    formatter.write(f"{'':{formatter.current_indent}}{line}\n")
    with formatter.section("Exit codes"):
        formatter.write_dl([(str(code), meaning) for code, meaning in codes.items()])
    with formatter.section("Documentation"):
        pages = " and ".join(filter(None, (", ".join(docs), ABOUT_ALL)))
        formatter.write_text(f"{pages}, in the repository and in the source distribution of pytest-nets")


def _folded(line: str, width: int) -> list[str]:
    *others, last = textwrap.wrap(
        line, width - 2, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )
    return [*(f"{each} \\" for each in others), last]
