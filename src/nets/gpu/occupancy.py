"""A kernel's launch and a GPU's limits -> occupancy of the SMs, unrounded; pure.

The limits are those of NVIDIA's `cuda_occupancy.h`, the estimate is Kineto's (`kernelOccupancy` in
https://github.com/pytorch/kineto/blob/main/libkineto/src/DeviceProperties.cpp). It differs from Kineto in one thing on
purpose: Kineto lets no kernel opt in to more shared memory than the default limit of 48 KiB, and so gives 0 for every
large matrix product. But such a kernel ran, so it had opted in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nets.errors import NetsError

WARP_SIZE = 32
SUB_PARTITIONS = 4  # of an SM, each with its share of the registers
REGISTER_UNIT = 256  # registers are given to a warp in multiples of this
MAX_BLOCKS_PER_SM = {
    **dict.fromkeys(((7, 0), (7, 2), (8, 0), (9, 0), (10, 0), (10, 3)), 32),
    **dict.fromkeys(((8, 9), (10, 1), (11, 0), (12, 0), (12, 1)), 24),
    **dict.fromkeys(((7, 5), (8, 6), (8, 7)), 16),
}
"""By compute capability."""


class Incomputable(NetsError):
    """An occupancy that can't be computed from the trace; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Launch:
    """A kernel's launch: blocks in the grid, threads a block, registers a thread, shared memory of a block."""

    n_blocks: int
    n_threads: int
    n_registers: int
    shared_bytes: int


@dataclass(frozen=True, slots=True)
class SmLimits:
    """A GPU's limits on the number of blocks that an SM holds at once."""

    capability: tuple[int, int]
    n_sms: int
    threads_per_block: int
    threads_per_sm: int
    registers_per_block: int
    registers_per_sm: int
    shared_bytes_per_block: int
    shared_bytes_per_block_optin: int
    shared_bytes_per_sm: int

    @classmethod
    def of(cls, properties: Mapping[str, object]) -> SmLimits:
        """An entry of a Kineto trace's `deviceProperties`. Raises Incomputable, naming what is missing."""

        def value(key: str, least: int = 1) -> int:
            found = properties.get(key)
            if not isinstance(found, int) or found < least:
                said = f"say {key!r} is {found!r}" if key in properties else f"have no {key!r}"
                raise Incomputable(f"the trace's deviceProperties {said}")
            return found

        capability = value("computeMajor"), value("computeMinor", 0)
        gpu = cls(
            capability=capability,
            n_sms=value("numSms"),
            threads_per_block=value("maxThreadsPerBlock"),
            threads_per_sm=value("maxThreadsPerMultiprocessor"),
            registers_per_block=value("regsPerBlock"),
            registers_per_sm=value("regsPerMultiprocessor"),
            shared_bytes_per_block=value("sharedMemPerBlock"),
            shared_bytes_per_block_optin=value("sharedMemPerBlockOptin"),
            shared_bytes_per_sm=value("sharedMemPerMultiprocessor"),
        )
        if value("warpSize") != WARP_SIZE:
            raise Incomputable(f"warps of {value('warpSize')} threads: the limits are known for {WARP_SIZE}")
        if capability not in MAX_BLOCKS_PER_SM:
            raise Incomputable(f"the limits of compute capability {capability[0]}.{capability[1]} aren't known")
        return gpu

    def active_blocks(self, launch: Launch) -> int:
        """The most blocks of a kernel that one SM holds; 0 where not even one fits."""
        n_warps = -(-launch.n_threads // WARP_SIZE)
        if launch.n_threads > self.threads_per_block:
            return 0
        return min(
            MAX_BLOCKS_PER_SM[self.capability],
            self.threads_per_sm // WARP_SIZE // n_warps,
            self._register_limit(launch.n_registers, n_warps),
            self._shared_memory_limit(launch.shared_bytes),
        )

    def occupancy(self, launch: Launch) -> float:
        """Threads on an SM over the most it holds, with the grid spread evenly over all SMs; in (0, 1]."""
        active = self.active_blocks(launch)
        if active == 0:
            raise Incomputable(f"by the trace's deviceProperties not one block fits on an SM ({launch})")
        return min(active, launch.n_blocks / self.n_sms) * launch.n_threads / self.threads_per_sm

    def _register_limit(self, n_registers: int, n_warps: int) -> int:
        """The most blocks by registers; a block's warps are assumed to be spread evenly over the sub-partitions."""
        per_warp = _round_up(n_registers * WARP_SIZE, REGISTER_UNIT)
        if n_registers > 256 or per_warp * _round_up(n_warps, SUB_PARTITIONS) > self.registers_per_block:
            return 0
        if per_warp == 0:
            return self.threads_per_sm
        return self.registers_per_sm // SUB_PARTITIONS // per_warp * SUB_PARTITIONS // n_warps

    def _shared_memory_limit(self, shared_bytes: int) -> int:
        """The most blocks by shared memory; from Ampere on the driver reserves 1 KiB of each block's."""
        ampere = self.capability >= (8, 0)
        reserved = 1024 if ampere else 0
        opted_in = shared_bytes > self.shared_bytes_per_block
        most = self.shared_bytes_per_block_optin if opted_in else self.shared_bytes_per_block
        used = _round_up(shared_bytes + reserved, 128 if ampere else 256)
        if used > most + reserved:
            return 0
        return self.shared_bytes_per_sm // used if used else self.threads_per_sm


def _round_up(n: int, unit: int) -> int:
    return -(-n // unit) * unit
