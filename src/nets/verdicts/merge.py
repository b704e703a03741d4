"""Several result files of one run, one a sitting -> one file, every cell judged again on all its rounds."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_benchmark.stats import Stats

from nets.records import durable
from nets.records.cell import Accuracy, Cpu, Outcome, Result
from nets.records.run import Pairing, parsed_run, read_content
from nets.verdicts import depth
from nets.verdicts.bands import Bands, band_of


def merge_runs(sittings: Sequence[Path], pairing: Pairing, bands: Bands | str, into: Path) -> None:
    """Write one file with every round of each cell, and what was measured beside them in its first sitting.

    All rounds together are compared with their band and judged for depth. A cell that failed or broke off in any
    sitting has done so. `bands`: the variant's, or why there are none. Raises Unusable for a file that is not nets'.
    """
    contents = [read_content(path) for path in sittings]
    runs = [parsed_run(content, str(path)) for path, content in zip(sittings, contents, strict=True)]
    timings: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    records: dict[str, list[Result]] = defaultdict(list)
    broken: dict[str, list[Result]] = defaultdict(list)
    for run in runs:
        for result, timing in zip(run.results, run.timings, strict=True):
            timings[result.id].append(timing)
            records[result.id].append(result)
        for result in run.unfinished:
            broken[result.id].append(result)
    whole = contents[0]
    cells = [cell for cell in timings if cell not in broken]
    judged = depth.with_depth([merged_result(records[cell], bands) for cell in cells])
    whole["benchmarks"] = [_benchmark(timings[cell], result) for cell, result in zip(cells, judged, strict=True)]
    not_run = dict(missing for run in runs for missing in run.not_run)
    whole["nets"] |= {
        "pairing": pairing.to_json(),
        "interrupted": any(content["nets"].get("interrupted") for content in contents),
        "unfinished": [
            merged_result([*records.get(cell, []), *those], bands).to_json() for cell, those in broken.items()
        ],
        "not_run": [
            {"cell": cell, "because": because}
            for cell, because in not_run.items()
            if cell not in records and cell not in broken
        ],
        "harness": None,
    }
    durable.write(into, json.dumps(whole, allow_nan=False, indent=4) + "\n")


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
