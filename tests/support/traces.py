"""Kineto traces made by hand, a few events each, and their figures."""

from __future__ import annotations

from typing import Any

from nets.gpu import trace
from nets.gpu.kineto import Cycle
from nets.records.gpu import Trace

Event = dict[str, Any]

HOPPER: dict[str, Any] = {
    "id": 0,
    "name": "NVIDIA H200",
    "totalGlobalMem": 150_000_000_000,
    "computeMajor": 9,
    "computeMinor": 0,
    "maxThreadsPerBlock": 1024,
    "maxThreadsPerMultiprocessor": 2048,
    "regsPerBlock": 65536,
    "warpSize": 32,
    "sharedMemPerBlock": 49152,
    "numSms": 132,
    "regsPerMultiprocessor": 65536,
    "sharedMemPerBlockOptin": 232448,
    "sharedMemPerMultiprocessor": 233472,
}


def step(n: int, ts: float, dur: float) -> Event:
    return {"ph": "X", "cat": "user_annotation", "name": f"ProfilerStep#{n}", "ts": ts, "dur": dur}


def call(correlation: int, ts: float, cat: str = "cuda_runtime", name: str = "cudaLaunchKernel") -> Event:
    args = {"cbid": 211, "correlation": correlation}
    return {"ph": "X", "cat": cat, "name": name, "ts": ts, "dur": 1.0, "args": args}


def kernel(
    ts: float,
    dur: float,
    *,
    name: str = "k",
    n_blocks: int = 132,
    registers: int = 32,
    shared_bytes: int = 0,
    blocks_per_sm: float = 1.0,
    rounded: float = 50,
    **args: Any,
) -> Event:
    """A kernel of one block of 1024 threads on each SM, so of occupancy 50 %, unless told otherwise."""
    plain = {
        "device": 0,
        "stream": 7,
        "correlation": 1,
        "registers per thread": registers,
        "shared memory": shared_bytes,
        "blocks per SM": blocks_per_sm,
        "grid": [n_blocks, 1, 1],
        "block": [1024, 1, 1],
        "est. achieved occupancy %": rounded,
    }
    return {"ph": "X", "cat": "kernel", "name": name, "ts": ts, "dur": dur, "args": plain | args}


def copy(ts: float, dur: float, correlation: int = 1, cat: str = "gpu_memcpy") -> Event:
    args = {"device": 0, "stream": 7, "correlation": correlation, "bytes": 4}
    return {"ph": "X", "cat": cat, "name": "Memcpy HtoD", "ts": ts, "dur": dur, "args": args}


def traced(*events: Event, **properties: Any) -> dict[str, Any]:
    """A trace of an H200, or of one whose properties differ."""
    return {"schemaVersion": 1, "deviceProperties": [HOPPER | properties], "traceEvents": list(events)}


def figures(traces: list[dict[str, Any]], **arguments: Any) -> Trace:
    """The figures of traces that were not written to a file."""
    cycles = [Cycle.of(whole, f"trace {i} of {len(traces)}") for i, whole in enumerate(traces, start=1)]
    return trace.trace_figures(cycles, **arguments)


def three(found: Trace) -> tuple[float | None, float | None, float | None]:
    return found.gpu_utilization_pct, found.sm_efficiency_pct, found.achieved_occupancy_pct


def times(found: Trace) -> dict[str, float]:
    return {long.name: long.total_s for long in found.longest_kernels}


def without(event: Event, *names: str) -> Event:
    return event | {"args": {name: value for name, value in event["args"].items() if name not in names}}
