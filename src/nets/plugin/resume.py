"""What a cell was measured of and with, as of the session's start; what of an earlier run `--resume` keeps."""

from __future__ import annotations

import hashlib
import inspect
import os
import platform
from collections.abc import Callable, Iterable
from contextlib import chdir, suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nets.errors import NetsError
from nets.records.git import changes_sha256, git, outside_variables, subject_of

if TYPE_CHECKING:
    import pytest

    from nets.cells.catalog import Cell
    from nets.plugin.session import Session
    from nets.records.cell import Result
    from nets.records.durable import Entry

_SAID = {
    "commit": "another commit",
    "changes": "other changes in the working tree",
    "network": "another file of the network",
    "nets": "another nets",
    "host": "another host",
}


def commit_info(config: pytest.Config, nets: Iterable[str]) -> dict[str, Any]:
    """What pytest-benchmark says of the commit, of the project's folder wherever pytest was called from.

    A file of networks that git doesn't track makes it dirty, too. The first line of its message is added.
    """
    from pytest_benchmark.utils import get_commit_info

    ours = outside_variables()
    of_a_hook = {name: os.environ.pop(name) for name in list(os.environ) if name not in ours}
    try:
        with chdir(config.rootpath):
            info: dict[str, Any] = get_commit_info(config.getoption("benchmark_project_name", None))
    finally:
        os.environ.update(of_a_hook)
    info["dirty"] = bool(info.get("dirty")) or any(_is_untracked(file, config.rootpath) for file in _files(nets))
    info["subject"] = subject_of(info.get("id"), config.rootpath)
    return info


def _files(nets: Iterable[str]) -> Iterable[Path]:
    """The files of what `--nets` named."""
    for named in nets:
        if Path(named).is_file():
            yield Path(named).resolve()
            continue
        with suppress(ImportError, ValueError):  # of a module that has no file
            if (spec := find_spec(named)) is not None and spec.origin is not None:
                yield Path(spec.origin)


def _is_untracked(file: Path, folder: Path) -> bool:
    """Whether a file lies in a folder's repository without being of it."""
    try:
        tree = Path(git("rev-parse", "--show-toplevel", folder=folder))
        if not file.is_relative_to(tree.resolve()):
            return False
        return not git("ls-files", "-z", "--", str(file), folder=folder)
    except NetsError:
        return False


def origin_of(session: Session, cell: Cell) -> dict[str, str | None]:
    """Commit and changes, the network's file, our own, versions and host."""
    return {
        **code_of(session.config.rootpath),
        "network": None if cell.build is None else sha256_of([_source_of(cell.build)]),
        "host": platform.node(),
        **{f"version of {name}": version for name, version in session.versions.items()},
    }


def code_of(folder: Path) -> dict[str, str | None]:
    """A folder's commit, the changes of its tracked files, and our own files."""
    try:
        commit = git("rev-parse", "--verify", "--quiet", "HEAD", folder=folder)
    except NetsError:
        commit = None
    return {
        "commit": commit,
        "changes": changes_sha256(folder),
        "nets": sha256_of(sorted(Path(__file__).parents[1].rglob("*.py"))),
    }


def _source_of(build: Callable[..., object]) -> Path | None:
    """The file that a builder is written in."""
    while isinstance(build, partial):
        build = build.func
    for each in (inspect.unwrap(build), type(build)):
        try:
            found = inspect.getsourcefile(each)
        except TypeError:
            continue
        if found is not None:
            return Path(found)
    return None


def sha256_of(files: Iterable[Path | None]) -> str | None:
    """Of their bytes, one file after the other; None where one is missing."""
    digest = hashlib.sha256()
    try:
        for file in files:
            if file is None:
                return None
            digest.update(file.read_bytes())
    except OSError:
        return None
    return digest.hexdigest()


def why_other(entry: Entry, cell: Cell, session: Session) -> str | None:
    """Why a record is not what this session would make of the cell; None where it is, but for chance."""
    then, now = entry.origin, session.origin_of(cell)
    different = [name for name in (*_SAID, *now) if then.get(name) != now.get(name)]
    if different:
        name = different[0]
        detail = f": {(then.get(name) or 'none')[:12]}, now {(now.get(name) or 'none')[:12]}"
        return _SAID.get(name, f"another {name}") + (detail if name not in ("changes", "network", "nets") else "")
    return _why_measured_otherwise(entry.result, cell, session)


def _why_measured_otherwise(result: Result, cell: Cell, session: Session) -> str | None:
    from nets.machine.cpu import cores
    from nets.measuring.cell import executed
    from nets.training.pipelines import PIPELINES

    options, setting = session.options, session.setting
    if result.pipeline != options.pipeline:
        return f"another pipeline: {result.pipeline}"
    if result.protocol != options.protocol_of(cell):
        return "another protocol"
    if result.device.name != setting.device.name:
        return f"another device: {result.device.name}"
    if (n_cores := result.where.n_cores) not in (allowed := _cores_of_a_process(session)):
        return f"another number of cores for itself: {n_cores}, now {' or '.join(map(str, allowed))}"
    expected = executed(PIPELINES[result.pipeline], result.protocol, setting)
    if setting.device.type == "cpu" and expected.threads == len(cores()):
        expected = expected.replace(threads=n_cores)
    known_by_a_run_alone = ("mode", "fallback_because", "evaluation_batch_size", "memory_format")
    if result.execution.replace(**{name: getattr(expected, name) for name in known_by_a_run_alone}) != expected:
        return "executed otherwise (threads, memory format, TF32 or OpenMP's wait policy)"
    try:
        if session.load_data(cell.dataset).sha256 != result.cell.data_sha256:
            return "other data"
    except NetsError:
        pass  # nothing shows that they changed
    return None


def _cores_of_a_process(session: Session) -> list[int]:
    """How many cores a process that measures cells has for itself; with workers on a CPU, each its share."""
    from nets.machine.cpu import cores, shares

    n_workers = session.n_workers
    if n_workers == 1 or session.setting.device.type != "cpu":
        return [len(cores())]
    return sorted({len(share) for share in shares(n_workers, cores())})
