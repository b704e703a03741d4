"""`nets doctor`: what there is to measure with, what would not work here, and why; for a report of a fault, too."""

from __future__ import annotations

from pathlib import Path

import typer

from nets.cli.common import DataDir, Json, beside_json, demand_writable, tell, write_json
from nets.errors import Exit


def doctor(data_dir: DataDir = Path("data"), json_file: Json = None) -> None:
    """Say what is installed, which GPU, driver and data there are, and what would not work and why.

    Nothing is measured, downloaded or changed. Exits with 1 where something is missing without which nothing works.
    """
    from nets.measuring.doctor import facts
    from nets.report.document import Sentence, table
    from nets.report.text import ABSENT

    demand_writable(json_file)
    found = facts(data_dir)
    problems = [fact for fact in found if fact.problem is not None]
    rows = [(fact.name, ABSENT if fact.found is None else fact.found) for fact in found]
    said = [Sentence(f"{fact.name}: {fact.problem}", "bad" if fact.is_needed else "doubtful") for fact in problems]
    with beside_json(json_file):
        tell([table(("what", "found"), rows), *(said or [Sentence("Nothing is amiss.", "good")])])
    write_json(json_file, {"schema": 1, "kind": "doctor", "facts": [fact.to_json() for fact in found]})
    raise typer.Exit(Exit.REGRESSED if any(fact.is_needed and fact.problem for fact in found) else Exit.FINE)
