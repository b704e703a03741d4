"""How often `nets ab` errs, what it catches, and what that costs.

`python -m studies.ab_error_rates FILE` prints the tables of docs/gate.md. FILE is what studies/ab_power.py wrote: live
runs, by the slowdown that was planted. From the sittings of those without one, and from those of an earlier day, which
ab-noise.json beside it holds, noise is drawn anew for as many comparisons as one likes; each is decided by the
command's own plans, with its defaults.
"""

from __future__ import annotations

import json
import math
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median, pstdev
from typing import Any

from nets.ab.looks import Plan, Verdict, plan
from nets.errors import Exit
from nets.gate.limits import Limits
from nets.stats.inference import rate_interval

N_COMPARISONS = 5_000
N_DRAWS = 200
NOISES = (0.01, 0.02, 0.05, 0.10)
EFFECTS = (0.0, 0.05, 0.10)
LIMITS = (0.02, 0.03, 0.05)
MAX_SITTINGS = 48  # the command's default
Draw = Callable[[random.Random], float]


@dataclass(frozen=True, slots=True)
class End:
    """What a comparison came to, and how many sittings each stage took; none for a confirmation that was not needed."""

    exit_code: int
    n_screen: int
    n_confirmation: int


def outcome(made: Plan, log_ratios: Sequence[float]) -> tuple[Verdict, int]:
    """What a cell with these sittings comes to, stopped at the first look that is enough, and after how many."""
    for n in made.looks:
        verdict = made.verdict(log_ratios[:n])[0]
        if verdict != "open":
            break
    return verdict, n


def compared(rng: random.Random, draw: Draw, slowdowns: Sequence[float], limits: Limits) -> End:
    """One comparison of cells that are truly so much slower, a fraction each; every sitting's noise is drawn."""

    def sittings(slowdown: float) -> list[float]:
        return [draw(rng) + math.log1p(slowdown) for _ in range(MAX_SITTINGS)]

    screen = plan("screen", len(slowdowns), MAX_SITTINGS, limits)
    found = [outcome(screen, sittings(slowdown)) for slowdown in slowdowns]
    verdicts = [verdict for verdict, _ in found]
    changed = [i for i, verdict in enumerate(verdicts) if verdict in ("slower", "faster")]
    again = []
    if changed:
        confirmation = plan("confirmation", len(changed), MAX_SITTINGS, limits)
        again = [outcome(confirmation, sittings(slowdowns[i])) for i in changed]
    confirmed = [second for i, (second, _) in zip(changed, again, strict=True) if second == verdicts[i]]
    is_open = "open" in verdicts or any(second == "open" for second, _ in again)
    code = Exit.REGRESSED if "slower" in confirmed else Exit.CANT_TELL if is_open else Exit.FINE
    return End(code, max(n for _, n in found), max((n for _, n in again), default=0))


def ends(draw: Draw, slowdowns: Sequence[float], limits: Limits, n: int, seed: int = 0) -> list[End]:
    """`n` such comparisons."""
    rng = random.Random(seed)
    return [compared(rng, draw, slowdowns, limits) for _ in range(n)]


def smallest_caught(draw: Draw, limits: Limits) -> float:
    """The smallest slowdown, a fraction, that ends in exit 1 in 95 % of draws, by halving; 1 where none below does."""
    low, high = 0.0, 1.0
    while high - low > 1e-3:
        middle = (low + high) / 2
        caught = sum(end.exit_code == Exit.REGRESSED for end in ends(draw, [middle], limits, N_DRAWS))
        if caught >= 0.95 * N_DRAWS:
            high = middle
        else:
            low = middle
    return high


def rate(k: int, n: int) -> str:
    """A rate with its Clopper-Pearson interval, in per cent."""
    low, high = rate_interval(k, n)
    return f"{k} of {n}: {100 * k / n:.1f} % ({100 * low:.1f}–{100 * high:.1f})"


def tables(path: Path) -> Iterator[str]:
    """The page's tables, line by line."""
    runs = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    yield from live(runs)
    noise: dict[str, list[float]] = {}
    for run in runs:
        if run["slowdown"] == 0:
            noise.setdefault(run["of"], []).extend(ratio for cell in run["cells"] for ratio in cell["screen"])
    earlier = json.loads(path.with_name("ab-noise.json").read_bytes())["log_ratios"]
    recorded = f"recorded earlier, {100 * pstdev(earlier):.1f} %"
    draws: dict[str, Draw] = {f"normal, {100 * sd:g} %": _normal(sd) for sd in NOISES}
    draws |= {f"{of}, {100 * pstdev(each):.1f} %": _one_of(each) for of, each in sorted(noise.items())}
    draws[recorded] = _one_of(earlier)
    yield from (
        "",
        "| noise of a sitting | cells | slower by | exit 1 | exit 3, not enough data | sittings, mean |",
        "|---|---|---|---|---|---|",
    )
    for n_cells in (1, 10):
        for name, draw in draws.items():
            for effect in EFFECTS:
                found = ends(draw, [effect, *[0.0] * (n_cells - 1)], Limits(), N_COMPARISONS)
                yield f"| {name} | {n_cells} | {100 * effect:g} % | {_rates(found)} |"
    yield from ("", "| limit | exit 1 | exit 3, not enough data | sittings, mean |", "|---|---|---|---|")
    for limit in LIMITS:
        yield f"| {100 * limit:g} % | {_rates(ends(draws[recorded], [0.0], Limits(time=limit), N_COMPARISONS))} |"
    yield from ("", "| noise of a sitting | caught in 95 % |", "|---|---|")
    for name, draw in draws.items():
        yield f"| {name} | {100 * smallest_caught(draw, Limits()):.1f} % |"


def live(runs: Sequence[dict[str, Any]]) -> Iterator[str]:
    """The table of live runs, a row a cell and slowdown."""
    yield (
        "| of | planted | exit 1 | exit 3, not enough data | exit 0 | sittings, mean | effect confirmed, median | "
        "minutes, median |"
    )
    yield "|---|---|---|---|---|---|---|---|"
    for of, slowdown in sorted({(run["of"], run["slowdown"]) for run in runs}):
        these = [run for run in runs if (run["of"], run["slowdown"]) == (of, slowdown)]
        exits = Counter(run["exit"] for run in these)
        cells = [cell for run in these for cell in run["cells"]]
        sittings = [fmean(len(cell[stage]) for cell in cells) for stage in ("screen", "confirmation")]
        effects = [cell["effect"] for cell in cells if cell["status"] == "regressed"]
        figures = [
            *(rate(exits[code], len(these)) for code in (1, 3)),
            str(exits[0]),
            f"{sittings[0]:.1f} + {sittings[1]:.1f}",
            f"{100 * median(effects):+.1f} %" if effects else "–",
            f"{median(run['wall_s'] for run in these) / 60:.1f}",
        ]
        yield f"| {of} | {100 * slowdown:g} % | {' | '.join(figures)} |"


def _rates(found: Sequence[End]) -> str:
    codes = Counter(end.exit_code for end in found)
    shown = [rate(codes[code], len(found)) for code in (Exit.REGRESSED, Exit.CANT_TELL)]
    n_screen, n_confirmation = (fmean(getattr(end, name) for end in found) for name in ("n_screen", "n_confirmation"))
    return f"{' | '.join(shown)} | {n_screen:.1f} + {n_confirmation:.1f}"


def _normal(sd: float) -> Draw:
    return lambda rng: rng.gauss(0, sd)


def _one_of(noise: Sequence[float]) -> Draw:
    """Recorded noise, either way round: base and head are the same, so either is as likely."""
    return lambda rng: rng.choice(noise) * rng.choice((-1, 1))


if __name__ == "__main__":
    for line in tables(Path(sys.argv[1])):
        print(line, flush=True)
