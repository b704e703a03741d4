"""The checks for a GPU, on a machine without one."""

from __future__ import annotations

import gzip
import importlib
import io
import os
import re
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from studies import kernel_sums

from nets.records.gpu import LongKernel
from tests.on_gpu import first, parts
from tests.on_gpu.parts import PARTS
from tests.support.records import one_round, record, traced
from tests.support.suite import REPOSITORY

without_a_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU: run the checks themselves")


@without_a_gpu
@pytest.mark.parametrize("name", PARTS)
def test_a_part_is_refused_without_a_gpu(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a GPU every part ends at once with a sentence and code 1, and nothing is run."""
    assert parts.main([name, str(tmp_path / "out")]) == 1
    told, errors = capsys.readouterr()
    assert re.fullmatch(rf"gpu-checks: {name}: .*no GPU works here: .+\n", errors)
    assert told == ""
    assert not (tmp_path / "out").exists()


def gpu_checks(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the script from another folder."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST")}
    environment["PYTHON"] = sys.executable
    command = ["bash", str(REPOSITORY / ".ci" / "gpu-checks"), *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@without_a_gpu
def test_the_script_fails_without_a_gpu(tmp_path: Path) -> None:
    """So does the script itself, from whatever folder it is called."""
    done = gpu_checks("first", "out", folder=tmp_path)
    assert done.returncode == 1
    assert "no GPU works here" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_script_lists_the_parts(tmp_path: Path) -> None:
    """Without a part the script lists every one, with what docs/gpu.md says of it."""
    done = gpu_checks(folder=tmp_path)
    assert done.returncode == 0
    listed = dict(re.findall(r"^([a-z0-9-]+) +(\d+ s +\S+)", done.stdout, flags=re.MULTILINE))
    assert list(listed) == list(PARTS)
    rows = re.findall(
        r"^\| `([a-z0-9-]+)` \| (\S+) \| (\d+) s \|", (REPOSITORY / "docs/gpu.md").read_text(), re.MULTILINE
    )
    assert {name: [f"{seconds}", "s", needs] for name, needs, seconds in rows} == {
        n: t.split() for n, t in listed.items()
    }


@pytest.mark.parametrize("arguments", [["nonsense", "out"], ["first"]], ids=["another part", "no folder"])
def test_a_wrong_option(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A part that is not there and a missing folder exit with 2 and are named."""
    with pytest.raises(SystemExit) as ended:
        parts.main(arguments)
    assert ended.value.code == 2
    assert re.search("nonsense|FOLDER", capsys.readouterr().err.splitlines()[-1])


def test_parts_are_short() -> None:
    """A part takes under nine minutes, whatever happens, and is expected to take half of that at most."""
    n_tables = max(len(part.commands(Path(), False, [])) - 1 for part in PARTS.values())
    assert parts.MAIN_S + parts.GRACE_S + n_tables * (parts.TABLE_S + parts.GRACE_S) < 9 * 60
    assert all(part.seconds < parts.MAIN_S / 2 for part in PARTS.values())


def test_a_missing_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything runs, files that lie there as .gz are unpacked, and those that don't are named."""
    monkeypatch.setenv("NETS_DATA", str(tmp_path))
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    (raw / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(b"labels"))
    (raw / "t10k-labels-idx1-ubyte").write_bytes(b"plain")
    assert parts.main(["mnist", str(tmp_path / "out"), "--on-cpu"]) == 1
    told = capsys.readouterr().err
    assert told.endswith("MNIST/raw/train-images-idx3-ubyte, MNIST/raw/t10k-images-idx3-ubyte\n")
    assert (raw / "train-labels-idx1-ubyte").read_bytes() == b"labels"
    assert not (tmp_path / "out").exists()


def test_missing_packages_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Packages that are not installed are named, all of them; one whose wheel is in $NETS_WHEELS is there."""
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setenv("PYTHONPATH", "before")
    assert parts.main(["first", str(tmp_path / "out")]) == 1
    assert "torch, torchvision, numpy" in (told := capsys.readouterr().err)
    assert "tomlkit" in told
    with zipfile.ZipFile(tmp_path / "tomlkit-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tomlkit-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: tomlkit\nVersion: 1\n")
    monkeypatch.setenv("NETS_WHEELS", str(tmp_path))
    importlib.invalidate_caches()
    assert parts.main(["first", str(tmp_path / "out")]) == 1
    assert "tomlkit" not in capsys.readouterr().err
    assert os.environ["PYTHONPATH"].startswith(f"before{os.pathsep}")


def test_a_broken_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A .gz that was cut off is refused by its name, and leaves no file that would be taken for the data."""
    monkeypatch.setenv("NETS_DATA", str(tmp_path))
    packed = tmp_path / "MNIST" / "raw" / "train-labels-idx1-ubyte.gz"
    packed.parent.mkdir(parents=True)
    packed.write_bytes(gzip.compress(b"labels")[:-4])
    assert parts.main(["mnist", str(tmp_path / "out"), "--on-cpu"]) == 1
    assert f"gpu-checks: mnist: {packed} can't be unpacked: " in capsys.readouterr().err
    assert not packed.with_suffix("").exists()


INTERRUPTED = """
import time
print("begun", flush=True)
try:
    time.sleep(60)
except KeyboardInterrupt:
    print("what it has")
    raise SystemExit(2)
"""


def test_a_command_whose_time_is_up() -> None:
    """It is interrupted, so that it can write what it has; all that it prints is kept."""
    log = io.StringIO()
    assert parts.run(["-c", INTERRUPTED], log, 1.0, os.environ) == 2
    assert re.search("\nbegun\nwhat it has\ngpu-checks: exit code 2 after ", log.getvalue())


def test_a_command_that_does_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that doesn't heed the interrupt is killed, with the processes that it started."""
    monkeypatch.setattr(parts, "GRACE_S", 0.2)
    child = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); time.sleep(60)"
    command = ["-c", f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}]); {child}"]
    assert parts.run(command, io.StringIO(), 1.0, os.environ) == -signal.SIGKILL


@pytest.mark.parametrize("code", [4, 0])
def test_a_part_goes_on(code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a command that failed the others run; the part's code is then 1, and 0 if none failed."""
    commands = [["-c", f"raise SystemExit({code})"], ["-c", "print('a table')"]]
    monkeypatch.setattr(parts.Part, "commands", lambda *_: commands)
    assert parts.main(["first", str(tmp_path), "--on-cpu"]) == (1 if code else 0)
    assert "a table" in (tmp_path / "first.txt").read_text()


def test_what_a_part_runs(tmp_path: Path) -> None:
    """Cells must run on the GPU, or all of them on the CPU, with their data; options come last, and so count."""
    for name in ("mnist", "growth", "monitor-cost"):
        (on_gpu, *_), (on_cpu, *_) = (
            PARTS[name].commands(tmp_path, where, ["--rounds", "2"]) for where in (False, True)
        )
        assert "--require-gpu" in on_gpu
        assert "--require-gpu" not in on_cpu
        assert on_cpu[on_cpu.index("--device") + 1] == "cpu"
        assert "--require-data" in on_gpu
        assert on_gpu[-2:] == ["--rounds", "2"]
    assert f"{tmp_path}/traces" in PARTS["mnist"].commands(tmp_path, False, [])[0]


def test_first_goes_on(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Each question has a line with yes or no and why; one that fails or dies keeps none from being put."""
    answers = {"cuda": (True, "it works", ""), "driver": (False, "refused", "a traceback")}
    monkeypatch.setattr(first, "answer", lambda name: answers.get(name, (True, "fine", "")))
    assert first.main([]) == 1
    told = capsys.readouterr().out
    assert re.findall(r"^(yes|no) +([a-z]+): (.+) \(", told, flags=re.MULTILINE) == [
        ("yes", "cuda", "it works"), ("no", "driver", "refused"),
        ("yes", "capture", "fine"), ("yes", "trace", "fine"), ("yes", "benchmarks", "fine"),
    ]  # fmt: skip
    assert told.endswith("driver:\na traceback\n")
    answers.clear()
    assert first.main([]) == 0


@without_a_gpu
def test_first_gives_the_reason(capsys: pytest.CaptureFixture[str]) -> None:
    """A question that can't be answered with yes is answered with the first line of why not."""
    assert first.main(["trace"]) == 1
    told, traceback = capsys.readouterr()
    assert re.fullmatch(".*no GPU works here: .+\n", told)
    assert traceback.startswith("Traceback")


@without_a_gpu
@pytest.mark.parametrize("name", ["driver", "capture"])
def test_each_check_fails_without_a_gpu(name: str, pytester: pytest.Pytester) -> None:
    """Run by themselves the checks fail too, every one; none is skipped."""
    file = REPOSITORY / "tests" / "on_gpu" / f"{name}_checks.py"
    outcomes = pytester.runpytest_inprocess(str(file), "--rootdir", str(REPOSITORY)).parseoutcomes()
    assert set(outcomes) <= {"errors", "failed"}
    assert sum(outcomes.values()) >= 12


def test_kernel_sums() -> None:
    """A step's time is divided by the time of its kernels; a cell without a trace has no row."""
    longest = LongKernel(name="gemm", n=30, total_s=0.009, share=0.5)  # all of them: 18 ms in 6 steps of 50
    trace = traced(steps=6, training_steps_per_step=50, kernels_per_step=700, longest_kernels=(longest,))
    rounds = (one_round(train_s=0.036), one_round(train_s=0.054))  # 600 steps each: 75 µs a step
    *_, row = kernel_sums.rows(
        [record(), record(model="cnn3l", rounds=rounds, trace=trace, trace_missing_because=None)]
    )
    assert row == "| mnist-cnn3l | resident | eager | 75.0 | 60.0 | 1.25 | 14.0 |"
