"""`nets gate`: files in; table, Markdown, JSON and exit code out."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from nets.gate.limits import Limits
from nets.gate.limits_input import changed, read_limits
from nets.records.cell import Cpu
from nets.records.run_file import read_run
from tests.support.commands import runner
from tests.support.gating import content, slow, write
from tests.support.records import one_round, record
from tests.support.suite import Suite

ran = runner("gate")


@pytest.mark.usefixtures("folder")
def test_exit_codes() -> None:
    """0 for a pass, 1 for a regression, 2 for another torch, 3 for a file that is not there; 3 before 1 before 2."""
    base, same, slower = write("a", record()), write("b", record()), write("c", slow())
    other = write("d", record(), torch="2.13.0")
    both = write("e", record(), record(model="cnn3l", device=record().device.model_copy(update={"name": "B"})))
    two = write("f", slow(), record(model="cnn3l"))
    assert ran(base, same).exit_code == 0
    assert ran(base, slower).exit_code == 1
    assert ran(base, other).exit_code == 3
    assert ran(both, two).exit_code == 1
    assert ran(base, "no such file").exit_code == 2
    assert ran(base, other, "--allow", "torch").exit_code == 0
    assert ran(base, slower, "--limit", "time_unpaired=900%", "--limit", "core_seconds_unpaired=900%").exit_code == 0


@pytest.mark.usefixtures("folder")
def test_the_table() -> None:
    """The terminal has versions, the times, the sentence of each finding that is not ok, the note, and the verdict."""
    output = ran(write("a", record()), write("b", slow())).output
    assert "base: a: one cell, torch 2.12.0, no CUDA, cpu: a CPU, protocol quick" in output
    assert "+400.0 %" in output
    assert "regressed: mnist-lenet5 total_s: beyond the limit of 30 %" in output
    assert "unpaired: two stored files" in output
    assert output.splitlines()[-1] == "FAIL (3 regressed, 5 ok, 2 within 30 %; exit 1)"


@pytest.mark.usefixtures("folder")
def test_the_limit_comes_before_what_may_explain_it() -> None:
    """Disturbed rounds are said beside the limit that was exceeded, not in its place."""
    slower = record(rounds=(one_round(train_s=9.0, eval_s=1.0, disturbed=True),))
    output = ran(write("a", record()), write("b", slower)).output
    assert (
        "regressed: mnist-lenet5 total_s: beyond the limit of 30 %; 1 of 1 rounds of head were disturbed by other"
        in output
    )


@pytest.mark.usefixtures("folder")
def test_the_captions() -> None:
    """Each side's commit, its subject from the file or else from the repository here, and when it ran, are named."""
    subprocess.run(["git", "init", "-q"], check=True)
    who = ["-c", "user.name=n", "-c", "user.email=e", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *who, "commit", "-q", "--allow-empty", "-m", "One \x1b[31m idea"], check=True)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()

    def stored(name: str, info: object, ran: str | None) -> str:
        Path(name).write_text(json.dumps(content(record()) | {"commit_info": info, "datetime": ran}))
        return name

    base = stored("a", {"id": commit, "dirty": True}, "2026-11-30T01:31:07.932549+02:00")
    head = stored("b", {"id": 40 * "e", "subject": 9 * "so long ", "dirty": False}, None)
    other = stored("c", {"id": "--output=x"}, "in spring")
    lines = ran(base, head, "--markdown", "page.md").output.splitlines()
    assert lines[1] == (
        f"base: commit {commit[:12]} (One �[31m idea), with uncommitted changes, run on 2026-11-30 01:31 UTC+02:00"
    )
    assert lines[3] == f"head: commit eeeeeeeeeeee ({8 * 'so long '}so long)"
    assert "(One �&#91;31m idea&#41;".replace("(", "&#40;") in Path("page.md").read_text()
    assert "head: commit --output=x, run on in spring" in ran(base, other).output
    assert not Path("x").exists()


@pytest.mark.usefixtures("folder")
def test_what_is_ok_between_two_files() -> None:
    """It is "within 30 %" in table and verdict, where it is by that limit; measured in turns it is "ok"."""
    nine = record(rounds=tuple(one_round(seed=i) for i in range(9)))
    base, head = write("a", nine), write("b", nine)
    output = ran(base, head, "--markdown", "page.md").output
    (total,) = [row for row in output.splitlines() if "total_s" in row]
    assert total.endswith("30 %   within 30 %")
    assert output.splitlines()[-1] == "pass (5 ok, 5 within 30 %; exit 0)"
    assert "| within 30 % |" in Path("page.md").read_text()
    pairing = {"id": "x", "rounds": 1, "looks": 3}
    assert "within" not in ran(write("a", nine, pairing=pairing), write("b", nine, pairing=pairing)).output
    small, large = (write(name, record(cpu=Cpu(core_s=s, rss_peak_bytes=1))) for name, s in (("a", 0.02), ("b", 0.05)))
    assert "6 ok, 4 within 30 %" in ran(small, large).output.splitlines()[-1], (
        "core-seconds are ok, and not by their limit"
    )


@pytest.mark.usefixtures("folder")
def test_the_same_bytes() -> None:
    """Two runs on the same files give the same bytes, wherever cells stand in the file."""
    cells = [slow(), record(model="cnn3l"), record(dataset="digits")]
    base, head = write("a", *cells[::-1]), write("b", *cells[:2])
    first = ran(base, head, "--markdown", "m1", "--json", "j1")
    second = ran(base, head, "--markdown", "m2", "--json", "j2")
    assert first.output == second.output
    assert Path("m1").read_bytes() == Path("m2").read_bytes()
    assert Path("j1").read_bytes() == Path("j2").read_bytes()
    write("b", *cells[:2][::-1])
    assert ran(base, head).output == first.output


@pytest.mark.usefixtures("folder")
def test_json() -> None:
    """The JSON has its schema's number and kind, the limits, and every finding."""
    ran(write("a", record()), write("b", slow()), "--json", "out.json", "--limit", "memory=0.2")
    found = json.loads(Path("out.json").read_text(), parse_constant=pytest.fail)
    assert (found["schema"], found["kind"], found["exit_code"], found["limits"]["memory"]) == (1, "gate", 1, 0.2)
    (total,) = [finding for finding in found["findings"] if finding["metric"] == "total_s"]
    assert (total["status"], total["base"], total["head"]) == ("regressed", 2.0, 10.0)
    assert total["effect"] == pytest.approx(4)


@pytest.mark.usefixtures("folder")
def test_pairing() -> None:
    """The pairing is read from the file's own block."""
    eight = record(rounds=tuple(one_round(seed=i) for i in range(8)))
    pairing = {"id": "x", "rounds": 1, "looks": 3}
    base, head = write("a", eight, pairing=pairing), write("b", eight, pairing=pairing)
    assert "paired: measured in turns" in ran(base, head).output
    for spoilt in (5, "x", {"id": "x", "rounds": 1}, {**pairing, "id": ""}, {**pairing, "looks": 0}):
        assert ran(base, write("c", eight, pairing=spoilt)).exit_code == 2


@pytest.mark.usefixtures("folder")
def test_the_page() -> None:
    """The Markdown is a heading with the verdict, a table, and the sentences."""
    ran(write("a", record()), write("b", slow()), "--markdown", "page.md")
    page = Path("page.md").read_text().splitlines()
    assert page[0].replace("&#58;", ":") == "### nets gate: FAIL"
    assert "| mnist-lenet5 | total&#95;s | 2 | 10 | +400.0 % | – | 30 % | regressed |" in [
        row.replace("&#43;", "+") for row in page
    ]


@pytest.mark.usefixtures("folder")
def test_config() -> None:
    """The table [gate] sets limits, the command line overrides them; an unknown name or a wrong value is refused."""
    path = Path("nets.toml")
    path.write_text('[other]\n[gate]\ntime_unpaired = "600 %"\nallow = ["torch"]\ncore_seconds_unpaired = "900%"\n')
    limits = read_limits(path)
    assert (limits.time_unpaired, limits.time, limits.allow) == (6.0, 0.02, ("torch",))
    base, head = write("a", record()), write("b", slow(), torch="2.13.0")
    assert ran(base, head, "--config", "nets.toml").exit_code == 0
    assert ran(base, head, "--config", "nets.toml", "--limit", "time_unpaired=0.3").exit_code == 1
    for text, message in (
        ("[gate]\ntempo = 1", "gate.tempo"),
        ("[gate]\nmemory = 30", "gate.memory"),
        ('[gate]\nallow = ["weather"]', "gate.allow.0"),
        ("[gate", "nets.toml: "),
        ("[tool]", "no table"),
    ):
        path.write_text(text)
        result = ran(base, head, "--config", "nets.toml")
        assert (result.exit_code, message in result.stderr) == (2, True)


def test_limits_of_the_command_line() -> None:
    """What the command line allows is added to what the file allows, in a fixed order."""
    limits = changed(Limits(allow=("torch",)), allow=("device", "torch"))
    assert limits.allow == ("device", "torch")


def test_a_real_file(suite: Suite) -> None:
    """A file that the suite wrote is read with its versions, and passes against itself."""
    suite.run("--cells", "digits-snn500", "--epochs", "1", "--rounds", "2")
    found = read_run(suite.out)
    assert found.versions.torch is not None
    assert found.results == read_run(suite.out).results
    result = ran(str(suite.out), str(suite.out))
    assert result.exit_code == 0, result.output
