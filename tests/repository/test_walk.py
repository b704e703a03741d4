"""docs/ci.md, its first section: played as it stands, by somebody who has nothing but the wheel."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.support.suite import REPOSITORY
from tests.support.workflows import GUIDE

SECTION = GUIDE.partition("## 1. By hand, from nothing")[2].partition("\n## 2.")[0]
ENVIRONMENT, INSTALL = "python3 -m venv nets-env && . nets-env/bin/activate", "pip install pytest-nets"
BORROWED = 'echo {site} > "$(python -c "import sysconfig; print(sysconfig.get_path(\'purelib\'))")/borrowed.pth"'
"""What the wheel depends on is taken from this environment; a line of a .pth file, so that no `nets` of it is found."""


def wheel(folder: Path) -> Path:
    """The wheel, built."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True)
    (found,) = folder.glob("pytest_nets-*.whl")
    return found


def walk(installed: Path) -> tuple[str, list[int]]:
    """The section as a script, which tells each command's exit code, and the codes that the section promises."""
    script, promised = [], []
    for language, text in re.findall(r"^```(\w*)\n(.*?)^```$", SECTION, flags=re.DOTALL | re.MULTILINE):
        if language == "python":
            name = text.partition("\n")[0].removeprefix("# ")
            script.append(f"cat > {name} <<'END'\n{text}END")
            continue
        assert not language
        for line in text.splitlines():
            command, _, comment = line.partition("  # exit ")
            command = command.replace(INSTALL, f"pip install --quiet --no-deps --no-index {installed}")
            script.append(f'{command}\necho "[exit $?] {command.split(" && ")[0].replace(chr(34), "")}"')
            promised.append(int(comment.partition(":")[0] or 0))
            if command.startswith("pip install"):
                script.append("python -c 'import nets; print(\"nets of\", nets.__file__)'")
            if command == ENVIRONMENT:
                script.append(BORROWED.format(site=sysconfig.get_path("purelib")))
    return "\n".join(script), promised


def test_the_walk_has_all_its_parts() -> None:
    """The section begins with an environment and the package, and has both refused branches and the one that passes."""
    script, promised = walk(Path("x.whl"))
    assert script.startswith(f"{ENVIRONMENT}\n")
    assert "--no-index x.whl" in script
    assert script.count("nets ab main ") == 3 * 2  # each is told, too
    assert sorted(promised)[-4:] == [1, 1, 1, 5]


@pytest.mark.skipif(not os.environ.get("NETS_WALK"), reason="three real comparisons take 12 minutes: NETS_WALK=1")
def test_the_walk(tmp_path: Path) -> None:
    """Each command of the section ends as the section says: the slower branch and the less accurate one are refused.

    Offline, in a fresh environment; the slow-down is planted by waiting, so that a machine which does other
    things, too, changes little of it.
    """
    script, promised = walk(wheel(tmp_path))
    identity = {f"GIT_{who}_{what}": "x@x" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    given = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "NETS", "PYTHON"))}
    environment = given | identity | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTEST_ADDOPTS": "-p no:hypothesispytest",  # which is here for the tests alone, and takes a second a start
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "CUDA_VISIBLE_DEVICES": "",
    }  # fmt: skip
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True)
    said = done.stdout + done.stderr
    ended = [int(code) for code in re.findall(r"^\[exit (\d+)\]", done.stdout, flags=re.MULTILINE)]
    assert ended == promised, said
    slower, softmax, words = done.stdout.split("screen of one cell")[1:]
    assert re.search(r"digits-mlp +total_s .*regressed", slower), slower
    assert re.search(r"digits-mlp +accuracy .*regressed", softmax), softmax
    assert not re.search(r"digits-mlp +total_s .*regressed", softmax), softmax
    assert "Nothing regressed in one cell" in words, words
    assert f"nets of {tmp_path}/nets-env/" in said
