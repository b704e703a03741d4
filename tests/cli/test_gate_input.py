"""`nets gate` and what it can't use: bad files and options refused by name, foreign text inert."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nets.errors import Unusable
from nets.records.cell import Outcome
from nets.records.run_file import read_run
from tests.support.commands import runner
from tests.support.gating import content, write
from tests.support.hostile import BAD, EVIL, FULL, demand_inert, gigabyte, leaves
from tests.support.records import record

ran = runner("gate")


@pytest.mark.usefixtures("folder")
def test_another_spelling_of_a_file_that_is_read() -> None:
    """An output that is base by another path, or a link to it, is refused: it would be written over."""
    base, head = write("a", record()), write("b", record())
    Path("folder").mkdir()
    Path("link").symlink_to("a")
    for output in ("folder/../a", "link"):
        result = ran(base, head, "--json", output)
        assert result.exit_code == 2
        assert "named twice" in result.stderr


@pytest.mark.usefixtures("folder")
def test_foreign_text_is_harmless() -> None:
    """Neither escapes nor markup of a file's text reach the terminal or the page, from wherever in the file."""
    failed = Outcome(status="failed", failures=(EVIL,))
    base = write("a", record(), record(model=EVIL))
    head = write("b", record(outcome=failed, device=record().device.model_copy(update={"name": EVIL})), torch=EVIL)
    Path("c").write_text(json.dumps(content(record()) | {"nets": {"not_run": [{"cell": EVIL, "because": EVIL}]}}))
    for other in (head, "c"):
        output = ran(base, other, "--markdown", "page.md", "--json", "all").output
        assert "##[" not in Path("all").read_text()
        found = json.loads(Path("all").read_text())["findings"]
        assert any(EVIL in finding["because"] or EVIL in finding["cell"] for finding in found)
        demand_inert(output)
        assert "\n#" not in output
        page = Path("page.md").read_text()
        demand_inert(page)
        assert not any(forbidden in page for forbidden in ("\x1b", "<script", "](", "![", "`", "@everyone", "http:"))
        (header, *rows) = [line for line in page.splitlines() if line.startswith("|")]
        assert {row.count("|") for row in rows} == {header.count("|")}


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(("make", "message"), BAD)
def test_bad_files(make: Callable[[Path], object], message: str) -> None:
    """A file that is unusable ends with 2 and one sentence that names it, as base or as head."""
    make(Path("bad.json"))
    good = write("good.json", record())
    for arguments in (("bad.json", good), (good, "bad.json")):
        result = ran(*arguments)
        assert result.exit_code == 2
        assert result.stderr.startswith("nets gate: bad.json")
        assert message in result.stderr
        assert len(result.stderr.splitlines()) == 1


@pytest.mark.usefixtures("folder")
def test_junk_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gigabyte is refused by its size, before it is read."""

    class Unread(io.FileIO):
        def read(self, size: int | None = -1, /) -> bytes:
            pytest.fail("read")

    gigabyte(Path("bad.json"))
    monkeypatch.setattr("nets.records.foreign.open", Unread, raising=False)
    with pytest.raises(Unusable, match="1,073,741,824 bytes"):
        read_run(Path("bad.json"))


@pytest.mark.usefixtures("folder")
def test_each_file_is_opened_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Base and head are one snapshot each, whoever replaces them meanwhile."""
    opened: list[str] = []

    def opener(path: str, flags: int) -> int:
        opened.append(Path(path).name)
        return os.open(path, flags)

    monkeypatch.setattr("nets.records.foreign._opened", opener)
    assert ran(write("a", record()), write("b", record()), "--markdown", "page.md", "--json", "all").exit_code == 0
    assert sorted(opened) == ["a", "b"]


@pytest.mark.usefixtures("folder")
def test_files_without_cells() -> None:
    """A base without a cell is unusable; of a head without one every cell is missing."""
    full, empty = write("a", record()), write("b")
    assert ran(empty, full).exit_code == 2
    assert ran(full, empty).exit_code == 1


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--limit", "time"], "NAME=VALUE"),
        (["--limit", "tempo=1"], "accuracy, accuracy_alpha"),
        (["--limit", "time=much"], "'much' is not a number"),
        (["--limit", "time=-1"], "field 'time'"),
        (["--limit", "time=nan"], "field 'time'"),
        (["--limit", "min_pairs=4"], "field 'min_pairs'"),
        (["--allow", "weather"], "what may be allowed to differ: device, torch"),
        (["--config", "no.toml"], "no.toml: "),
        (["--markdown", "nowhere/x.md"], "the folder nowhere does not exist"),
        (["--json", "a"], "named twice"),
        (["--json", "x", "--markdown", "x"], "named twice"),
    ],
)
def test_bad_options(arguments: list[str], message: str) -> None:
    """An option that can't be used ends with 2 and a sentence, and writes over nothing."""
    base = write("a", record())
    before = Path(base).read_bytes()
    result = ran(base, write("b", record()), *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert Path(base).read_bytes() == before


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("path", list(leaves(FULL.to_json())), ids=lambda path: ".".join(map(str, path)))
def test_no_number_breaks_it(path: tuple[str | int, ...]) -> None:
    """Whatever number stands in a record's field, in base or in head: it is judged or refused, without a traceback."""
    write("good", FULL)
    for value in (-1, 0, 1e-320, 1e308, 10**400):
        bad = content(FULL)
        place: Any = bad["benchmarks"][0]["extra_info"]
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
        Path("bad").write_text(json.dumps(bad))
        for arguments in (("good", "bad"), ("bad", "good")):
            assert ran(*arguments, "--markdown", "page", "--json", "all").exit_code in (0, 1, 2, 3)
            if Path("all").exists():
                json.loads(Path("all").read_text(), parse_constant=pytest.fail)


@pytest.mark.usefixtures("folder")
def test_a_name_that_is_no_text() -> None:
    """A file whose name is not UTF-8 is read all the same."""
    name = os.fsdecode(b"\xff.json")
    assert ran(write(name, record()), name, "--json", "out").exit_code == 0
    assert json.loads(Path("out").read_text())["base"]["source"] == "?.json"
