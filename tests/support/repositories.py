"""Real git repositories: made, committed to, and looked at by tests."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import pytest


def git(*arguments: str) -> str:
    """Run git here, as somebody."""
    command = ["git", "-c", "user.name=x", "-c", "user.email=x@example.com", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def commit(files: dict[str, str]) -> None:
    """Write files, and commit them."""
    for name, text in files.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text)
    git("add", "-A")
    git("commit", "--quiet", "-m", "x")


def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git repository that one stands in, worktrees and all in a folder of the test's own; no network data."""
    (tmp_path / "repository").mkdir()
    (tmp_path / "temporary").mkdir()
    monkeypatch.chdir(tmp_path / "repository")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.delenv("NETS_DATA", raising=False)
    git("init", "--quiet", "-b", "main")
    return tmp_path / "repository"


def nothing_left(repository: Path) -> None:
    """No worktree is known or left."""
    assert len(git("worktree", "list").splitlines()) == 1
    assert not list((repository.parent / "temporary").glob("nets-ab-*"))
