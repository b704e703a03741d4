"""How often `nets ab` errs, and what it catches.

`python -m studies.ab_error_rates FILE` prints the tables of docs/gate.md. FILE is what studies/ab_power.py wrote: live
runs, by the slowdown that was planted. From the sittings of those without one, noise is drawn anew for as many
comparisons as one likes.
"""

from __future__ import annotations

import json
import math
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median, pstdev
from typing import Any, Literal

from nets.ab.looks import Plan, Verdict, plan
from nets.gate.limits import Limits
from nets.stats.inference import rate_interval

N_COMPARISONS = 2_000
N_DRAWS = 200
NOISES = (0.005, 0.01, 0.02, 0.05, 0.10)
SITTINGS = (6, 8, 12, 16, 24)
LIMITS = (0.02, 0.03, 0.05)
MAX_SITTINGS, N_LOOKS = 12, 3  # the command's defaults
Draw = Callable[[random.Random], float]


def outcome(made: Plan, log_ratios: Sequence[float]) -> Verdict:
    """What a cell with these sittings comes to, stopped at the first look that is enough."""
    for n in made.looks:
        verdict = made.verdict(log_ratios[:n])[0]
        if verdict != "open":
            break
    return verdict


def false_alarms(made: Plan, draw: Draw, n_comparisons: int, seed: int = 0) -> Counter[Verdict]:
    """The outcomes of comparisons of a thing with itself, each sitting's noise drawn by `draw`."""
    rng = random.Random(seed)
    return Counter(outcome(made, [draw(rng) for _ in range(made.looks[-1])]) for _ in range(n_comparisons))


def told(made: Plan, log_ratios: Sequence[float]) -> Verdict | Literal["ok", "not enough data"]:
    """What the gate says of such a cell in the end."""
    verdict = outcome(made, log_ratios)
    if verdict != "open":
        return verdict
    is_beyond = abs(made.verdict(log_ratios)[1].point) > math.log1p(made.limits.time)
    return "not enough data" if is_beyond else "ok"


def smallest_caught(noise: Sequence[float], n_sittings: int, limits: Limits, seed: int = 0) -> float | None:
    """The smallest slowdown, a fraction, that `n_sittings` of this noise show in 95 % of draws; None above 100 %."""
    made = Plan(tuple(range(n_sittings - N_LOOKS + 1, n_sittings + 1)), 1, limits)  # the last of so many looks
    rng = random.Random(seed)
    least = sorted(
        _least_caught(made, [rng.choice(noise) * rng.choice((-1, 1)) for _ in range(n_sittings)])
        for _ in range(N_DRAWS)
    )
    found = least[math.ceil(0.95 * N_DRAWS) - 1]
    return None if found >= math.log(2) else math.expm1(found)


def _least_caught(made: Plan, noise: Sequence[float]) -> float:
    """By halving: a larger slowdown is caught wherever a smaller one is."""
    low, high = 0.0, math.log(2)
    while high - low > 1e-4:
        middle = (low + high) / 2
        if made.verdict([x + middle for x in noise])[0] == "slower":
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
    cells = [
        (run["slowdown"], {**cell, "rounds_a_sitting": run["rounds_a_sitting"]})
        for run in runs
        for cell in run["cells"]
    ]
    yield "| planted | exit 1 | time regressed | improved | not enough data | ok | sittings, mean | effect, median |"
    yield "|---|---|---|---|---|---|---|---|"
    for slowdown in sorted({slowdown for slowdown, _ in cells}):
        exits = [run["exit"] for run in runs if run["slowdown"] == slowdown]
        these = [cell for share, cell in cells if share == slowdown]
        found = Counter(cell["status"] for cell in these)
        shown = [rate(found[status], len(these)) for status in ("regressed", "improved")]
        counts = [str(found[status]) for status in ("not enough data", "ok")]
        n_sittings = sum(len(_sittings(cell)) for cell in these) / len(these)
        effect = 100 * median(cell["effect"] for cell in these)
        figures = [rate(exits.count(1), len(exits)), *shown, *counts, f"{n_sittings:.1f}", f"{effect:+.1f} %"]
        yield f"| {100 * slowdown:g} % | {' | '.join(figures)} |"
    noise = [ratio for slowdown, cell in cells if slowdown == 0 for ratio in _sittings(cell)]
    limits = Limits()
    yield from ("", "| noise of a sitting | one of so many cells | slower | faster | open |", "|---|---|---|---|---|")
    draws: dict[str, Draw] = {f"normal, {100 * sd:g} %": _normal(sd) for sd in NOISES}
    draws[f"recorded, {100 * pstdev(noise):.1f} %"] = lambda rng: rng.choice(noise) * rng.choice((-1, 1))
    for name, draw in draws.items():
        for n_cells in (1, 10):
            found = false_alarms(plan(n_cells, MAX_SITTINGS, N_LOOKS, limits), draw, N_COMPARISONS)
            shown = [rate(found[verdict], N_COMPARISONS) for verdict in ("slower", "faster", "open")]
            yield f"| {name} | {n_cells} | {' | '.join(shown)} |"
    rng = random.Random(0)
    yield from ("", "| limit | slower | faster | not enough data |", "|---|---|---|---|")
    for limit in LIMITS:
        made, draw = plan(1, MAX_SITTINGS, N_LOOKS, Limits(time=limit)), draws[f"recorded, {100 * pstdev(noise):.1f} %"]
        ends = Counter(told(made, [draw(rng) for _ in range(MAX_SITTINGS)]) for _ in range(N_COMPARISONS))
        shown = [rate(ends[end], N_COMPARISONS) for end in ("slower", "faster", "not enough data")]
        yield f"| {100 * limit:g} % | {' | '.join(shown)} |"
    spread = pstdev(noise)
    yield from (
        "",
        f"| noise of a sitting | {' | '.join(f'{n} sittings' for n in SITTINGS)} |",
        "|---" * (len(SITTINGS) + 1) + "|",
    )
    for sd in (*NOISES, spread):
        scaled = [x * sd / spread for x in noise]
        found_at = [smallest_caught(scaled, n, limits) for n in SITTINGS]
        shown = ["–" if least is None else f"{100 * least:.1f} %" for least in found_at]
        yield f"| {100 * sd:.1f} %{' as recorded' if sd == spread else ''} | {' | '.join(shown)} |"


def _sittings(cell: dict[str, Any]) -> list[float]:
    """The logarithm of head over base of each sitting's middle pair."""
    n = cell["rounds_a_sitting"]
    pairs = [math.log(head / base) for base, head in zip(cell["base_s"], cell["head_s"], strict=False)]
    return [median(pairs[i : i + n]) for i in range(0, len(pairs), n)]


def _normal(sd: float) -> Draw:
    return lambda rng: rng.gauss(0, sd)


if __name__ == "__main__":
    print("\n".join(tables(Path(sys.argv[1]))))
