"""The distribution: its name, what sdist and wheel hold, and `nets init` from it, however it was installed."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Mapping
from email import message_from_string
from pathlib import Path

import pytest

from nets.cli.scaffold.originals import AS_NETS_CODE, BENCHMARK_FILES, GATE, LABEL
from nets.machine.device import versions
from tests.support.shared import made_once
from tests.support.suite import REPOSITORY

PACKED = "nets/cli/scaffold/files/"
WRITTEN = [GATE, LABEL, AS_NETS_CODE, *(f"benchmarks/{name}" for name in BENCHMARK_FILES)]


def ran(*command: str, cwd: Path, **environment: str) -> str:
    """What a command printed, which must end well."""
    given = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")} | environment
    done = subprocess.run(command, cwd=cwd, env=given, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """An sdist, and the wheel that is built from it, as release.yml does."""

    def build(folder: Path) -> None:
        ran(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(folder), cwd=REPOSITORY)
        (sdist,) = folder.glob("pytest_nets-*.tar.gz")
        with tarfile.open(sdist) as archive:
            archive.extractall(folder / "unpacked", filter="data")
        (unpacked,) = (folder / "unpacked").iterdir()
        ran(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder), cwd=unpacked)

    folder = made_once(tmp_path_factory, "dist", build)
    ((sdist,), (wheel,)) = (folder.glob(f"pytest_nets-*.{kind}") for kind in ("tar.gz", "whl"))
    return {"sdist": sdist, "wheel": wheel}


def test_the_wheel_holds_everything(built: Mapping[str, Path]) -> None:
    """All of the package's files, typed, and what `nets init` writes, letter by letter; nothing of the tests."""
    package = REPOSITORY / "src"
    with zipfile.ZipFile(built["wheel"]) as archive:
        held = {name: archive.read(name) for name in archive.namelist() if ".dist-info/" not in name}
        (metadata,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        facts = message_from_string(archive.read(metadata).decode())
        entry_points = archive.read(metadata.replace("METADATA", "entry_points.txt")).decode()
    ours = [path for path in (package / "nets").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    wanted = {path.relative_to(package).as_posix(): path.read_bytes() for path in ours}
    wanted |= {PACKED + name: (REPOSITORY / name).read_bytes() for name in WRITTEN}
    assert held == wanted
    assert {"nets/py.typed", "nets/records/record.schema.json", "nets/datasets/digits_split.txt"} <= held.keys()
    assert facts["Name"] == "pytest-nets"
    assert {"Framework :: Pytest", "Typing :: Typed"} <= set(facts.get_all("Classifier", []))
    assert "nets = nets.cli.app:main" in entry_points
    assert "pytest11" not in entry_points  # its options would meet others' in every repository of the environment


def test_the_sdist_holds_everything(built: Mapping[str, Path]) -> None:
    """Sources, docs, examples and licence."""
    with tarfile.open(built["sdist"]) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    assert {"LICENSE", "README.md", "CHANGELOG.md", "docs/ci.md", "examples/my_nets.py", *WRITTEN} <= held
    assert not [name for name in held if name.startswith(("tests/", "studies/", "data/"))]


def test_init_from_a_target_folder_without_pip(built: Mapping[str, Path], tmp_path: Path) -> None:
    """Installed by `pip install --target`, and run by a Python that has no pip, it writes what the checkout would."""
    site, there = tmp_path / "site", tmp_path / "there"
    pip = (sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", str(site))
    ran(*pip, str(built["wheel"]), cwd=tmp_path)
    (site / "pip.py").write_text("raise ImportError('there is no pip')\n")
    there.mkdir()
    ran("git", "init", "--quiet", cwd=there)
    told = ran(sys.executable, "-m", "nets", "init", cwd=there, PYTHONPATH=str(site), PATH=os.environ["PATH"])
    assert "9 files written" in told
    for name in WRITTEN:
        if name.startswith("benchmarks/"):
            assert (there / name).read_bytes() == (REPOSITORY / name).read_bytes()
    where = ran(sys.executable, "-c", "import nets; print(nets.__file__)", cwd=there, PYTHONPATH=str(site))
    assert where.startswith(str(site))


def test_the_version_is_the_distribution_s(monkeypatch: pytest.MonkeyPatch) -> None:
    """A record's version of nets is asked for by the distribution's name."""
    monkeypatch.setattr("nets.machine.device.version", lambda name: f"of {name}")
    assert versions()["nets"] == "of pytest-nets"
