"""Occupancy, against NVIDIA's own calculator."""

from __future__ import annotations

import importlib.util
import random
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nets.gpu.occupancy import Incomputable, Launch, SmLimits

KIB = 1024
LIMITS = [
    # capability, SMs, threads an SM, default, opt-in and SM's shared memory
    ((7, 0), 80, 2048, 48 * KIB, 96 * KIB, 96 * KIB),
    ((7, 5), 40, 1024, 48 * KIB, 64 * KIB, 64 * KIB),
    ((8, 0), 108, 2048, 48 * KIB, 163 * KIB, 164 * KIB),
    ((8, 6), 84, 1536, 48 * KIB, 99 * KIB, 100 * KIB),
    ((8, 9), 128, 1536, 48 * KIB, 99 * KIB, 100 * KIB),
    ((9, 0), 132, 2048, 48 * KIB, 227 * KIB, 228 * KIB),
    ((10, 0), 148, 2048, 48 * KIB, 227 * KIB, 228 * KIB),
    ((12, 0), 170, 1536, 48 * KIB, 99 * KIB, 100 * KIB),
]
GPUS = [SmLimits(cc, n_sms, 1024, threads, 65536, 65536, *shared) for cc, n_sms, threads, *shared in LIMITS]
GPUS.append(replace(GPUS[0], registers_per_block=32768))


@pytest.fixture(scope="module")
def calculator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """NVIDIA's occupancy calculator, compiled from the header that comes with CUDA."""
    spec = importlib.util.find_spec("nvidia")
    packages = [Path(place) for place in (spec.submodule_search_locations or ())] if spec else []
    headers = [header for place in packages for header in sorted(place.glob("*/include/cuda_occupancy.h"))]
    headers += sorted(Path("/usr/local").glob("cuda*/include/cuda_occupancy.h"))
    compiler = shutil.which("cc")
    if not headers or compiler is None:
        pytest.skip("no cuda_occupancy.h or no C compiler here")
    program = tmp_path_factory.mktemp("occupancy") / "reference"
    source = Path(__file__).with_name("occupancy_reference.c")
    subprocess.run([compiler, "-w", f"-I{headers[0].parent}", str(source), "-o", str(program)], check=True)
    return program


def random_launch(rng: random.Random, gpu: SmLimits) -> Launch:
    """A launch that is plain, or at a limit, or just beyond it."""
    shared = rng.choice([0, rng.randrange(4 * KIB), rng.randrange(gpu.shared_bytes_per_sm + 2 * KIB)])
    n_threads = rng.choice([rng.randint(1, 1056), 32 * rng.randint(1, 32), 2 ** rng.randint(5, 10)])
    return Launch(rng.randint(1, 10_000), n_threads, rng.randint(0, 257), shared + rng.choice([0, 0, -shared % KIB]))


def test_active_blocks_are_nvidia_s(calculator: Path) -> None:
    """Thousands of random launches on nine GPUs fit as often on an SM as NVIDIA's own calculator says."""
    rng = random.Random(1)
    cases = [(gpu, random_launch(rng, gpu)) for gpu in GPUS for _ in range(1_000)]
    lines = [
        f"{gpu.capability[0]} {gpu.capability[1]} {gpu.n_sms} {gpu.threads_per_block} {gpu.threads_per_sm} "
        f"{gpu.registers_per_block} {gpu.registers_per_sm} {gpu.shared_bytes_per_block} "
        f"{gpu.shared_bytes_per_block_optin} {gpu.shared_bytes_per_sm} "
        f"{launch.n_threads} {launch.n_registers} {launch.shared_bytes}\n"
        for gpu, launch in cases
    ]
    answer = subprocess.run([calculator], input="".join(lines), capture_output=True, text=True, check=True).stdout
    expected = [tuple(map(int, line.split())) for line in answer.splitlines()]
    assert [gpu.active_blocks(launch) for gpu, launch in cases] == [opted_in for opted_in, _ in expected]
    assert len({opted_in for opted_in, _ in expected}) > 15  # the cases tell limits apart
    for (gpu, launch), (opted_in, as_kineto) in zip(cases, expected, strict=True):
        assert as_kineto == (opted_in if launch.shared_bytes <= gpu.shared_bytes_per_block else 0)


@pytest.mark.parametrize("gpu", GPUS, ids=lambda gpu: "{}.{}".format(*gpu.capability))
@settings(max_examples=25)
@given(n_blocks=st.integers(1, 10**6), n_threads=st.integers(1, 1024), n_registers=st.integers(0, 32))
def test_occupancy_grows_with_the_grid(gpu: SmLimits, n_blocks: int, n_threads: int, n_registers: int) -> None:
    """Occupancy lies in (0, 1], and more blocks never lower it."""
    one, more = (gpu.occupancy(Launch(n, n_threads, n_registers, 0)) for n in (n_blocks, 2 * n_blocks))
    assert 0 < one <= more <= 1
    with pytest.raises(Incomputable, match="not one block"):
        gpu.occupancy(Launch(n_blocks, n_threads, n_registers, 10**6))
