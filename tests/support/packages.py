"""What installed packages say of themselves, read once: pytest and the suite ask all of them in every session."""

from __future__ import annotations

import sysconfig
from collections.abc import Callable
from importlib.metadata import Distribution, PathDistribution
from typing import Any

INSTALLED = sysconfig.get_path("purelib")


def read_once() -> None:
    """Keep the entry points and the metadata of what is installed here; of other folders they are read each time."""
    for name in ("entry_points", "metadata"):
        setattr(PathDistribution, name, property(_kept(getattr(Distribution, name).fget)))


def _kept(read: Callable[[Distribution], Any]) -> Callable[[PathDistribution], Any]:
    known: dict[str, Any] = {}

    def get(package: PathDistribution) -> Any:
        path = str(package._path)  # it says no other way where it lies
        if not path.startswith(INSTALLED):
            return read(package)
        if path not in known:
            known[path] = read(package)
        return known[path]

    return get
