"""The session's JSON file and pytest-benchmark's own objects, each made from the other."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Container, Iterable
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pytest_benchmark.stats import Metadata

from nets.errors import Unusable
from nets.records import durable
from nets.records.base import finite_values
from nets.records.durable import Entry
from nets.records.run_file import read_content

MAX_NAME = 255 - len(".journal.old.99")


def demand_writable(path: Path, option: str = "--benchmark-json") -> None:
    """Refuse, before the first cell trains, a file that could not be written after the last. Raises UsageError."""
    folder = path.parent
    if path.is_dir():
        because = f"{path} is a folder"
    elif path.exists() and not path.is_file():
        because = f"{path} is not a plain file, and would be replaced by one"
    elif not folder.is_dir():
        because = f"the folder {folder} does not exist; make it first"
    elif path.exists() and not os.access(path, os.W_OK):
        because = f"{path} can't be written to"
    elif path.exists() and path.stat().st_nlink > 1:
        because = f"{path} has other names (hard links), which would keep what it has now; name another file"
    elif len(os.fsencode(path.name)) > MAX_NAME:
        because = f"the name {path.name:.40}… is too long: its journal's would have over 255 bytes"
    else:
        try:
            with tempfile.TemporaryFile(dir=folder):
                return
        except OSError as error:
            because = f"the folder {folder} can't be written to: {error.strerror}"
    raise pytest.UsageError(f"{option}: {because}")


def locked(path: Path) -> Callable[[], None]:
    """Be the only run that writes the file, until what is returned is called. Raises UsageError where another is."""
    lock = ExitStack()
    try:
        lock.enter_context(durable.sole_writer(path, "--benchmark-json"))
    except Unusable as error:
        raise pytest.UsageError(str(error)) from None
    return lock.close


def has_records(path: Path) -> bool:
    """Whether a file is there that a run wrote which measured something."""
    try:
        content = read_content(path)
    except Unusable:
        return False
    return bool(content["benchmarks"] or content["nets"].get("unfinished"))


def content_of(config: pytest.Config, session: Any) -> dict[str, Any]:
    """The complete benchmarks of pytest-benchmark's `session` as it would write them, but as valid JSON."""
    hook = config.hook
    machine_info = session.get_machine_info()
    commit_info = hook.pytest_benchmark_generate_commit_info(config=config)
    hook.pytest_benchmark_update_commit_info(config=config, commit_info=commit_info)
    output_json = hook.pytest_benchmark_generate_json(
        config=config,
        benchmarks=session.benchmarks,
        include_data=True,
        machine_info=machine_info,
        commit_info=commit_info,
    )
    hook.pytest_benchmark_update_json(config=config, benchmarks=session.benchmarks, output_json=output_json)
    whole: dict[str, Any] = finite_values(output_json)
    return whole


def guard_storage(storage: Any, tell: Callable[[str], None]) -> None:
    """Have the store of --benchmark-save and --benchmark-autosave say why it can't be written to, and clear up."""
    save, folder = storage.save, getattr(storage, "path", None)

    def guarded(*arguments: Any) -> None:
        before = set(folder.rglob("*.json")) if folder is not None else set()
        try:
            save(*arguments)
        except OSError as error:
            for half in set(folder.rglob("*.json")) - before if folder is not None else ():
                half.unlink(missing_ok=True)
            tell(f"{storage}: the run can't be stored there: {error.strerror}")

    storage.save = guarded


def timing_of(item: pytest.Item, *, n_rounds: int) -> dict[str, Any] | None:
    """The timing of a finished test as pytest-benchmark writes it; None where it isn't one of `n_rounds` rounds."""
    benchmark = item.funcargs.get("benchmark") if hasattr(item, "funcargs") else None
    timed = benchmark.stats if benchmark is not None else None
    if timed is None or len(timed.stats.data) != n_rounds:
        return None
    timing: dict[str, Any] = timed.as_dict(include_data=True)
    parameters: dict[str, Any] = item.callspec.params if hasattr(item, "callspec") else {}
    plain = (str, int, float, bool, type(None))
    timing["params"] = {name: value if isinstance(value, plain) else str(value) for name, value in parameters.items()}
    timing.pop("extra_info")
    return timing


def restored_benchmark(entry: Entry) -> Metadata | None:
    """What `timing_of` took as pytest-benchmark's own object, the record as its `extra_info`; None without a timing."""
    timing = entry.benchmark
    if timing is None:
        return None
    fixture = SimpleNamespace(
        **{key: timing[key] for key in ("name", "fullname", "group", "param", "params")},
        extra_info=entry.result.to_json(),
        cprofile_stats=None,
        has_error=False,
    )
    benchmark = Metadata(fixture, iterations=timing["stats"]["iterations"], options=timing["options"])
    for seconds in timing["stats"]["data"]:
        benchmark.stats.update(seconds)
    return benchmark


def merged_benchmarks(benchmarks: Iterable[Any], entries: Iterable[Entry], planned: Container[str]) -> list[Any]:
    """The complete benchmarks of a session: those of cells (the `planned` tests) from the journal, others as is."""
    cells = [benchmark for entry in entries if (benchmark := restored_benchmark(entry)) is not None]
    ours = {entry.fullname for entry in cells}
    others = [b for b in benchmarks if b and not b.has_error and b.fullname not in ours and b.fullname not in planned]
    return others + cells
