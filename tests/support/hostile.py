"""What the commands must survive: text that would be markup, files that are none, numbers where they can't be."""

from __future__ import annotations

import json
import os
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path

from nets.records.cell import Band
from tests.support.gating import GPU, content, traced
from tests.support.records import one_round, record, seen_of_gpu

EVIL = (
    "::error::\x1b[31m<script>alert(1)</script>|[x](http://e.vil)\n# @everyone `a` ![i](j)\n::error::x\n##[error]x"
    "[link=http://e.vil]y[/link][bold]z \x1b]8;;http://e.vil\x1b\\\\ \u202e\u2066"
)


def demand_inert(output: str) -> None:
    """Nothing in it moves a cursor, is invisible, or is a command to GitHub's runner."""
    for line in output.split("\n"):
        assert not {unicodedata.category(each) for each in line} & {"Cc", "Cf", "Cs", "Zl", "Zp"}, line
        assert not line.lstrip().startswith("::"), line
        assert "##[" not in line, line


def gigabyte(path: Path) -> None:
    """A sparse file: nothing is stored."""
    path.touch()
    os.truncate(path, 2**30)


def _edited(old: str, new: str) -> Callable[[Path], object]:
    """A good file with something in it replaced."""
    return lambda path: path.write_text(json.dumps(content(record())).replace(old, new))


BAD: list[tuple[Callable[[Path], object], str]] = [
    (lambda path: None, "No such file"),
    (lambda path: path.write_text(""), "not JSON"),
    (lambda path: path.write_text("{"), "not JSON"),
    (lambda path: path.write_bytes(b"{\xff\xff}"), "not JSON: 'utf-8' codec"),
    (lambda path: path.write_text("[" * 100_000), "not JSON: maximum recursion"),
    (lambda path: path.write_text("[1]"), "not a pytest-benchmark file"),
    (lambda path: path.write_text('{"benchmarks": []}'), "it has no field 'nets'"),
    (lambda path: path.write_text('{"benchmarks": [], "nets": {}}'), "field 'machine_info'"),
    (_edited('"schema": 3, "kind"', '"schema": 4, "kind"'), "field 'schema' is 4"),
    (_edited("1.5", "NaN"), "train_s': Input should be a finite number"),
    (_edited("1.5", "1e999"), "train_s': no measurement gives such a number"),
    (_edited("1.5", "1" + 400 * "0"), "train_s': no measurement gives such a number"),
    (_edited("1.5", 5_000 * "1"), "not JSON: Exceeds the limit"),
    (_edited('"seed": 0', '"seed": 0, "seed": 1'), "the key 'seed' is there twice"),
    (_edited('"nets": {', '"nets": {"unknown": ' + 60 * "[" + 60 * "]" + ", "), "more than 50 deep in one another"),
    (_edited('"lenet5"', '"\\ud800"'), "field"),
    (lambda path: path.symlink_to("/dev/zero"), "not a plain file"),
    (lambda path: path.symlink_to(path.name), "symbolic links"),
    (_edited("1.5", "-1.5"), "train_s': Input should be greater than or equal to 0"),
    (lambda path: path.write_text(json.dumps(content(record(), record()))), "mnist-lenet5 is there 2 times"),
    (lambda path: path.mkdir(), "not a plain file"),
    (os.mkfifo, "not a plain file"),
    (gigabyte, "1,073,741,824 bytes; at most 200,000,000 are read"),
]


def leaves(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where the numbers of a record are."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from leaves(inner, (*path, i))
    else:
        yield path


FULL = record(
    device=GPU,
    rounds=tuple(one_round(seed=i, accuracy=0.9 + i / 100) for i in range(3)),
    band=Band(low=0.8, high=1, n=20, alpha=0.001, verdict="inside"),
    trace=traced(40, 30),
    gpu=seen_of_gpu(memory_peak_training_bytes=1, energy_j=1.0, utilization_pct=10.0),
)
