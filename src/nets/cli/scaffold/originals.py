"""The files that `nets init` writes are this repository's own; a wheel has them beside this module, at their paths."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nets import __version__
from nets.errors import Unusable

PACKED = Path(__file__).parent / "files"
CHECKOUT = Path(__file__).parents[4]
GATE, LABEL, AS_NETS_CODE = ".github/workflows/gpu-gate.yml", ".github/workflows/gpu-label.yml", ".ci/as-nets-code"
BENCHMARK_FILES = ("conftest.py", "test_train_eval.py", "bands.toml", "gate.toml")
GUARD = BENCHMARK_FILES[0]
"""What keeps a plain `pytest` from training cells."""
OWNED = ("bands.toml", "gate.toml")
"""The user's own from the first time on: measured, or chosen, there."""
_OUR_INSTALL = "pip install -c constraints.txt -e ."
_CHECKOUT_STEP = re.compile(r"(uses: actions/checkout@.*\n(?:.*\n)*?)( +)(persist-credentials: false\n)")


@dataclass(frozen=True, slots=True)
class Filling:
    """What differs from one repository to another.

    `folder`: where the benchmark lies. `nets`: a file or module with its networks. `cells`: ids, comma-separated.
    `install`: what pip installs there, as a shell would read it. `has_submodules`: whether
    the workflow has to check them out.
    """

    folder: str
    nets: str | None
    cells: str
    install: str
    has_submodules: bool = False


def original(name: str) -> str:
    """A file's text as it is here. Raises Unusable where the installation is incomplete."""
    path = (PACKED if PACKED.is_dir() else CHECKOUT) / name
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise Unusable(f"{path}: {error.strerror}: this installation of nets is incomplete; install it anew") from error


def gate_workflow(filling: Filling) -> str:
    """The GPU gate and the nightly run, for a repository with this filling. Raises Unusable."""
    text = original(GATE)
    changes = {
        "docs/ci.md": f"docs/ci.md of pytest-nets {__version__}",
        _OUR_INSTALL: f"pip install {filling.install}",
        "--config benchmarks/gate.toml": f"--config {filling.folder}/gate.toml",
        "pytest benchmarks ": f"pytest {filling.folder} ",
    }
    if filling.nets is not None:
        # with `=`: pytest takes the folder of `--nets FILE` for one of tests
        changes['--cells "$CELLS"'] = '--nets="$NETS" --cells "$CELLS"'
        changes["\nenv:\n  CELLS: "] = f"\nenv:\n  NETS: {_quoted(filling.nets)}\n  CELLS: "
    if filling.folder != "benchmarks":
        changes['nets ab "$base" "$SHA" '] = f'nets ab "$base" "$SHA" --tests {filling.folder} '
    text = _changed(text, changes)
    text = re.sub(r"(?m)^  CELLS: .*$", lambda _: f"  CELLS: {filling.cells}", text)
    if filling.has_submodules:
        text = _CHECKOUT_STEP.sub(r"\1\2\3\2submodules: recursive\n", text)
    return text


def _changed(text: str, changes: Mapping[str, str]) -> str:
    for old, new in changes.items():
        assert old in text, f"{GATE} has no {old!r} any more"
        text = text.replace(old, new)
    return text


def _quoted(text: str) -> str:
    """A YAML scalar."""
    return text if re.fullmatch(r"[\w./-]+", text) else "'" + text.replace("'", "''") + "'"


def choices(workflow: str) -> tuple[str | None, str | None]:
    """The networks and cells that a workflow, written before, names."""
    nets = re.search(r"(?m)^  NETS: (?:'(.*)'|(.*))$", workflow)
    cells = re.search(r"(?m)^  CELLS: (.*)$", workflow)
    named = None if nets is None else nets[2] if nets[1] is None else nets[1].replace("''", "'")
    return named, cells[1] if cells else None
