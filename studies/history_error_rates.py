"""How often a change is found that is not there, or missed, or misplaced; pure.

`python -m studies.history_error_rates` prints it. Series are simulated as `nets history` makes them: a point is the
median of a commit's rounds, each with normal noise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nets.stats.changepoints import ALPHA_BUMP, ALPHA_STEP, MIN_SIZE, ChangePoint, Values, change_points
from nets.stats.inference import rate_interval

STEP = 0.05
SIDE = 10
WITHIN = 2
N_FLAT = 10_000
N_STEPS = 1_000
N_CEILING = 100_000
NOISES = (0.01, 0.02, 0.05)
SINGLE_NOISES = (0.01, 0.015, 0.02, 0.03)
SIDES = (10, 13, 20, 40)
ROUNDS = (1, 3)
SEED = 1


@dataclass(frozen=True, slots=True)
class Rate:
    """How many of `n` series, and the 95 % interval of the share (Clopper & Pearson, Biometrika 26, 1934)."""

    k: int
    n: int

    @property
    def interval(self) -> tuple[float, float]:
        """The bounds, fractions of 1."""
        return rate_interval(self.k, self.n)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{100 * self.k / self.n:.2f} % ({100 * low:.2f}–{100 * high:.2f})"


def series(shape: Values, noise: float, n_rounds: int, rng: np.random.Generator) -> Values:
    """The logarithms of one time a commit: the median of rounds with relative noise. `shape`: of the true times."""
    rounds = np.exp(shape)[:, np.newaxis] * (1 + noise * rng.standard_normal((shape.size, n_rounds)))
    return np.log(np.median(rounds, axis=1))


FLAT: Values = np.zeros(2 * SIDE)
STEPPED: Values = np.repeat([0.0, np.log1p(STEP)], SIDE)
BUMP: Values = np.concatenate([FLAT[:SIDE], np.full(SIDE // 2, np.log1p(STEP)), FLAT[:SIDE]])


def is_flat(found: tuple[ChangePoint, ...]) -> bool:
    """Nothing was found."""
    return not found


def is_placed(found: tuple[ChangePoint, ...]) -> bool:
    """A slowdown was found within two commits of the step."""
    return any(abs(change.index - SIDE) <= WITHIN and change.shift > 0 for change in found)


def placed_of_single_rounds(noise: float, side: int, n: int) -> Rate:
    """In how many of `n` series of one round a commit a step between `side` commits on each side is placed."""
    rng, shape = np.random.default_rng(SEED), np.repeat([0.0, np.log1p(STEP)], side)
    found = [change_points(series(shape, noise, 1, rng).tolist()) for _ in range(n)]
    placed = (any(abs(each.index - side) <= WITHIN and each.shift > 0 for each in changes) for changes in found)
    return Rate(sum(placed), n)


def is_alone(found: tuple[ChangePoint, ...]) -> bool:
    """The step was found, and nothing besides."""
    return is_placed(found) and len(found) == 1


def is_bump(found: tuple[ChangePoint, ...]) -> bool:
    """A slowdown and its mending were found, each within two commits."""
    return [change.shift > 0 for change in found] == [True, False] and all(
        abs(change.index - true) <= WITHIN for change, true in zip(found, (SIDE, SIDE + SIDE // 2), strict=True)
    )


Verdict = Callable[[tuple[ChangePoint, ...]], bool]


def rates(shape: Values, n: int, verdicts: tuple[Verdict, ...], noise: float, n_rounds: int) -> tuple[Rate, ...]:
    """Of each verdict: in how many of `n` simulated series it holds of what was found."""
    rng = np.random.default_rng(SEED)
    found = [change_points(series(shape, noise, n_rounds, rng).tolist()) for _ in range(n)]
    return tuple(Rate(sum(map(verdict, found)), n) for verdict in verdicts)


def row(noise: float, n_rounds: int) -> str:
    """A row of Markdown: the shares, with their 95 % intervals."""
    shares = (
        *rates(FLAT, N_FLAT, (is_flat,), noise, n_rounds),
        *rates(STEPPED, N_STEPS, (is_placed, is_alone), noise, n_rounds),
        *rates(BUMP, N_STEPS, (is_bump,), noise, n_rounds),
    )
    return f"| {100 * noise:g} % | {n_rounds} | {' | '.join(map(str, shares))} |"


def ceiling(noise: float, level: float = ALPHA_STEP + ALPHA_BUMP) -> tuple[float, float]:
    """The share of single-round steps that the likelihood ratio places, if it knows the noise, or estimates it.

    With normal noise and one step nothing does better; its critical value is that of simulated flat series.
    """
    rng = np.random.default_rng(SEED)
    places = np.arange(MIN_SIZE, FLAT.size - MIN_SIZE + 1)

    def gains(shape: Values) -> tuple[Values, Values, NDArray[np.bool_]]:
        values = shape + np.log(1 + noise * rng.standard_normal((N_CEILING, shape.size)))
        values -= values.mean(axis=1, keepdims=True)
        gain = np.cumsum(values, axis=1)[:, places - 1] ** 2 * (1 / places + 1 / (FLAT.size - places))
        best = gain.max(axis=1)
        return best, best / (values**2).sum(axis=1), np.abs(places[gain.argmax(axis=1)] - SIDE) <= WITHIN

    *flat, _ = gains(FLAT)
    *stepped, is_near = gains(STEPPED)
    known, estimated = (
        float((is_near & (step > np.quantile(none, 1 - level))).mean())
        for none, step in zip(flat, stepped, strict=True)
    )
    return known, estimated


def main() -> None:
    """Print the tables of docs/history.md, and what the best test can do; some minutes."""
    print("| noise of a round | rounds | flat: none found | step placed | ... and nothing besides | bump placed |")
    print("|---|---|---|---|---|---|")
    for noise in NOISES:
        for n_rounds in ROUNDS:
            print(row(noise, n_rounds), flush=True)
    print(f"\n| noise of a round | {' | '.join(f'{side} and {side} commits' for side in SIDES)} |")
    print(f"|---|{'---|' * len(SIDES)}")
    for noise in SINGLE_NOISES:
        placed = [placed_of_single_rounds(noise, side, N_STEPS) for side in SIDES]
        print(f"| {100 * noise:g} % | {' | '.join(map(str, placed))} |", flush=True)
    known, estimated = ceiling(0.02)
    print(f"\nthe best test, one round with 2 % noise: {known:.1%} placed if it knows the noise, else {estimated:.1%}")


if __name__ == "__main__":
    main()
