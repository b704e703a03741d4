"""What a repository lacks, file by file, and what has to change in a file that is there."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from nets.cli.scaffold import originals
from nets.cli.scaffold.conftest_line import NEW, with_plugin
from nets.cli.scaffold.originals import AS_NETS_CODE, BENCHMARK_FILES, GATE, GUARD, LABEL, OWNED, Filling, original
from nets.errors import Unusable

EXECUTABLE = 0o755


@dataclass(frozen=True, slots=True)
class Change:
    """A file to be written: its name within the repository, its text before (None: it is not there) and after."""

    name: str
    before: str | None
    after: str
    is_program: bool = False

    @property
    def is_new(self) -> bool:
        """Whether nothing is written over."""
        return self.before is None

    @property
    def because(self) -> str:
        """What is wrong with what is there."""
        if self.before is None:
            return "missing"
        if set(self.before.splitlines()) <= set(self.after.splitlines()):
            return "lines are missing"
        return "differs from what this version of nets would write"

    def difference(self) -> Iterator[str]:
        """Lines of a unified diff."""
        yield from difflib.unified_diff(
            (self.before or "").splitlines(),
            self.after.splitlines(),
            f"a/{self.name}" if self.before is not None else "/dev/null",
            f"b/{self.name}",
            lineterm="",
        )


def planned(root: Path, filling: Filling, *, with_workflows: bool) -> list[Change]:
    """Every change that is left to be made; none in a repository that has it all. Raises Unusable."""
    wanted = dict(_wanted(root, filling, with_workflows=with_workflows))
    return [
        Change(name, before, after, is_program=name == AS_NETS_CODE)
        for name, after in wanted.items()
        if (before := _text(root, name)) != after and not (before is not None and PurePosixPath(name).name in OWNED)
    ]


def names(filling: Filling, *, with_workflows: bool) -> list[str]:
    """Every file that may be written."""
    of_benchmark = [f"{filling.folder}/{name}" for name in BENCHMARK_FILES]
    return ["conftest.py", *of_benchmark, *((GATE, LABEL, AS_NETS_CODE) if with_workflows else ()), ".gitignore"]


def _wanted(root: Path, filling: Filling, *, with_workflows: bool) -> Iterator[tuple[str, str]]:
    conftest = root / "conftest.py"
    yield "conftest.py", with_plugin(conftest.read_bytes(), "conftest.py") if conftest.is_file() else NEW
    for name in BENCHMARK_FILES:
        at = f"{filling.folder}/{name}"
        text = original(f"benchmarks/{name}")
        if name == GUARD and _is_foreign(_text(root, at), text):
            raise Unusable(f"{at} is there, and is none of nets's: name another folder for the benchmark (--folder)")
        yield at, text
    if with_workflows:
        yield GATE, originals.gate_workflow(filling)
        yield LABEL, original(LABEL)
        yield AS_NETS_CODE, original(AS_NETS_CODE).replace("docs/ci.md", "docs/ci.md of pytest-nets")
    yield ".gitignore", _ignoring(root, filling.folder)


def _is_foreign(there: str | None, ours: str) -> bool:
    """Whether a file is there that says in its first line that it is something else."""
    return there is not None and there.partition("\n")[0] != ours.partition("\n")[0]


def _ignoring(root: Path, folder: str) -> str:
    """The .gitignore with what measuring leaves behind."""
    before = _text(root, ".gitignore") or ""
    wanted = ["/nets-ab/", "/nets-bisect/", "*.journal", "*.journal.old", f"/{folder}/.bands.toml.lock"]
    if not (root / "data").exists():  # where data sets are downloaded to, unless it is something else here
        wanted.append("/data/")
    if not any(each in before for each in ("__pycache__", "*.pyc", "*.py[c")):
        wanted.append("__pycache__/")
    absent = [line for line in wanted if line not in before.splitlines()]
    if not absent:
        return before
    end = "\r\n" if "\r\n" in before else "\n"
    between = "" if not before or before.endswith("\n") else end
    return f"{before}{between}" + "".join(f"{line}{end}" for line in absent)


def _text(root: Path, name: str) -> str | None:
    """A file's text, line ends as they are; None where it is not there. Raises Unusable for one that is no text."""
    path = root / name
    try:
        return path.read_bytes().decode()
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise Unusable(f"{name}: it is no text in UTF-8: move it away, then run nets init again") from error
    except OSError as error:
        raise Unusable(f"{name}: it can't be read: {error.strerror}") from error
