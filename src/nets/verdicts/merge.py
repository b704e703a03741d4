"""Several result files of one run, one a sitting -> one file, every cell judged again on all its rounds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_benchmark.stats import Stats

from nets.records import durable
from nets.records.cell import Accuracy, Cpu, Outcome, Result
from nets.records.run import Pairing
from nets.records.run_file import parsed_run, read_content
from nets.verdicts import depth
from nets.verdicts.bands import Bands, band_of


@dataclass(frozen=True, slots=True)
class Sittings:
    """The result files of one side, one a sitting, in their order, and how they are paired with the other side's."""

    files: Sequence[Path]
    pairing: Pairing


def merge_runs(sittings: Sittings, bands: Bands | str, into: Path, confirmation: Sittings | None = None) -> None:
    """Write one file with every round of each cell, and what was measured beside them in its first sitting.

    All rounds together are compared with their band and judged for depth. A cell that failed or broke off in any
    sitting has done so. `bands`: the variant's, or why there are none. `confirmation`: the second measurement of some
    cells, kept apart. Raises Unusable for a file that is not nets'.
    """
    found = _Found.of(sittings.files)
    whole = found.first
    cells = [cell for cell in found.timings if cell not in found.broken]
    judged = depth.with_depth([merged_result(found.records[cell], bands) for cell in cells])
    whole["benchmarks"] = [_benchmark(found.timings[cell], result) for cell, result in zip(cells, judged, strict=True)]
    whole["nets"] |= {
        "pairing": sittings.pairing.to_json(),
        "interrupted": found.interrupted,
        "unfinished": [found.merged(cell, bands).to_json() for cell in found.broken],
        "not_run": [
            {"cell": cell, "because": because}
            for cell, because in found.not_run.items()
            if cell not in found.records and cell not in found.broken
        ],
        "harness": None,
    }
    if confirmation is not None:
        again = _Found.of(confirmation.files)
        whole["nets"]["interrupted"] |= again.interrupted
        whole["nets"]["confirmation"] = {
            "pairing": confirmation.pairing.to_json(),
            "cells": [again.merged(cell, bands).to_json() for cell in dict.fromkeys([*again.records, *again.broken])],
        }
    durable.write(into, durable.json_text(whole))


@dataclass(frozen=True, slots=True)
class _Found:
    """What the files of several sittings hold, by cell; `first`: the first file's content, as JSON.

    `broken`: the records of the cells that broke off.
    """

    first: dict[str, Any]
    timings: dict[str, list[Mapping[str, Any]]]
    records: dict[str, list[Result]]
    broken: dict[str, list[Result]]
    not_run: dict[str, str]
    interrupted: bool

    @classmethod
    def of(cls, files: Sequence[Path]) -> _Found:
        contents = [read_content(path) for path in files]
        runs = [parsed_run(content, str(path)) for path, content in zip(files, contents, strict=True)]
        found = cls(
            first=contents[0],
            timings=defaultdict(list),
            records=defaultdict(list),
            broken=defaultdict(list),
            not_run=dict(missing for run in runs for missing in run.not_run),
            interrupted=any(content["nets"].get("interrupted") for content in contents),
        )
        for run in runs:
            for result, timing in zip(run.results, run.timings, strict=True):
                found.timings[result.id].append(timing)
                found.records[result.id].append(result)
            for result in run.unfinished:
                found.broken[result.id].append(result)
        return found

    def merged(self, cell: str, bands: Bands | str) -> Result:
        """One record of all sittings of a cell, also of one that broke off."""
        return merged_result([*self.records.get(cell, []), *self.broken.get(cell, [])], bands)


def merged_result(results: Sequence[Result], bands: Bands | str) -> Result:
    """One record of a cell's sittings, in their order."""
    rounds = tuple(round_ for result in results for round_ in result.rounds)
    last = results[-1] if results[-1].outcome.status == "error" else results[0]
    used = [result.cpu for result in results if result.cpu is not None]
    peaks = [cpu.rss_peak_bytes for cpu in used if cpu.rss_peak_bytes is not None]
    statuses = {result.outcome.status for result in results}
    protocol = results[0].protocol.repeated(rounds=max(1, len(rounds)))
    accuracy = Accuracy.of(round_.accuracy for round_ in rounds) if rounds else None
    band, no_band_because = last.band, last.band_missing_because
    if accuracy is not None and last.outcome.status != "error":
        diverged = any(round_.diverged for round_ in rounds)
        band, no_band_because = band_of(last.id, protocol, accuracy, diverged=diverged, bands=bands)
    cpu = None
    if used:
        cpu = Cpu(
            core_s=sum(cpu.core_s for cpu in used),
            rss_peak_bytes=max(peaks, default=None),
            rss_missing_because=None if peaks else used[0].rss_missing_because,
        )
    outcome = Outcome(
        status="error" if "error" in statuses else "failed" if "failed" in statuses else "passed",
        failures=tuple(dict.fromkeys(failure for result in results for failure in result.outcome.failures)),
    )
    return last.replace(
        protocol=protocol,
        rounds=rounds,
        accuracy=accuracy,
        band=band,
        band_missing_because=no_band_because,
        cpu=cpu,
        outcome=outcome,
    )


def _benchmark(timings: Sequence[Mapping[str, Any]], result: Result) -> dict[str, Any]:
    """pytest-benchmark's own entry, with its statistics of all sittings."""
    stats = Stats()
    data = [seconds for timing in timings for seconds in timing["stats"]["data"]]
    for seconds in data:
        stats.update(seconds)
    figures = {**timings[0]["stats"], **stats.as_dict(), "data": data}
    return {**timings[0], "stats": figures, "extra_info": result.to_json()}
