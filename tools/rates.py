"""Cycles per instruction of one family of systems, learned from published latencies together.

    ln cycles = ln Σ_share exp(pair + share + core·share + runtime·share) · (instructions of that share)
                + board + outside                       with shares conv, conv1x1, dwconv, fc, other, call

`call` is what starting an operator costs, in the unit of 575 instructions. `pair` is a runtime, kernel set and core.
Every parameter has a normal prior: wide for pairs, narrow for the rest, so that a pair of four rows leans on what its
family shows and a pair of thirty decides for itself (a hierarchical model; Gauss-Newton finds the posterior mode).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import exp, log

import numpy as np
from latency_rows import Measured, Pair

from mcuprof.costs.shares import SHARES

CALL = "call"
# What starting an operator costs beyond its instructions, in instructions, before anything is learned: as fitted on the
# Cortex-M4, the core with networks of all sizes.
CALL_INSTRUCTIONS = 575.0
START = "start"
# Fetching a byte of weights for the first time: flash wait states and cache misses.
WEIGHTS = "weights"
START_INSTRUCTIONS = 1000.0
_STEPS = 40


@dataclass(frozen=True, slots=True)
class Spread:
    """Standard deviations of the priors, in ln, by what a parameter belongs to."""

    wide: float = 1.5
    like: float = 0.15
    share: float = 0.6
    family: float = 0.25
    core: float = 0.2
    runtime: float = 0.1
    fixed: float = 2.0
    weights: float = 1.0
    board: float = 0.12
    noise: float = 0.08


@dataclass(frozen=True, slots=True)
class Rates:
    """The fitted parameters by name; a parameter that no row of the fit had is 0."""

    values: Mapping[tuple[str, ...], float] = field(default_factory=dict)

    def factor(self, pair: Pair, share: str) -> float:
        """Cycles per instruction of `share` for this runtime, kernel set and core."""
        return exp(sum(self.values.get(name, 0.0) for name in _share_names(pair, share)))

    def board(self, row: Measured) -> float:
        """How much slower this board is than the pair's boards, as a factor."""
        return exp(sum(self.values.get(name, 0.0) for name in _place_names(row)))

    def cycles(self, row: Measured) -> float:
        """Predicted cycles of a row."""
        inside = sum(self.factor(row.pair, share) * size for share, size in sizes(row).items())
        return inside * self.board(row)


def sizes(row: Measured) -> dict[str, float]:
    """Instructions by share, and those that starting the operators is worth."""
    return {**row.work, CALL: CALL_INSTRUCTIONS * row.operators, START: START_INSTRUCTIONS, WEIGHTS: row.weight_bytes}


def _share_names(pair: Pair, share: str) -> list[tuple[str, ...]]:
    family, runtime, kernels, core = pair
    if share == WEIGHTS:  # memory, not code: the same whatever runtime reads it
        return [("weights",), ("core weights", core)]
    return [
        ("base",),
        ("family", family),
        ("core", core),
        ("runtime", runtime, kernels),
        ("pair", *pair),
        ("share", share),
        ("family share", family, share),
        ("core share", core, share),
        ("runtime share", runtime, kernels, share),
    ]


def _place_names(row: Measured) -> list[tuple[str, ...]]:
    return [("board", row.core, row.board)]


def _spread(name: tuple[str, ...], spread: Spread) -> float:
    kind = name[0]
    if kind in {"weights", "core weights"}:
        return spread.weights
    if kind in {"family", "core"}:
        return spread.wide
    if kind in {"runtime", "pair"}:
        return spread.like
    if kind.endswith("share"):
        by = {"share": spread.share, "family share": spread.family, "core share": spread.core}
        return by.get(kind, spread.runtime) * (spread.fixed if name[-1] in {CALL, START} else 1.0)
    return spread.board if kind == "board" else 10.0


def fit(rows: Sequence[Measured], spread: Spread | None = None, near: Rates | None = None) -> Rates:
    """The posterior mode, searched from `near`. Rows of one network on one pair share one vote, however many."""
    spread = spread or Spread()
    names: dict[tuple[str, ...], int] = {}
    for row in rows:
        for each in sizes(row):
            for name in _share_names(row.pair, each):
                names.setdefault(name, len(names))
        for name in _place_names(row):
            names.setdefault(name, len(names))
    votes: dict[tuple[object, ...], int] = {}
    for row in rows:
        votes[row.pair, row.board, row.model] = votes.get((row.pair, row.board, row.model), 0) + 1
    weight = np.array([1 / (spread.noise * votes[row.pair, row.board, row.model] ** 0.5) for row in rows])
    prior = np.array([1 / _spread(name, spread) for name in names])
    model = _Model.of(rows, names)
    measured = np.array([log(row.cycles) for row in rows])
    x = np.array([near.values.get(name, 0.0) if near else 0.0 for name in names])
    for _ in range(_STEPS):
        predicted, jacobian = model.at(x)
        a = jacobian * weight[:, None]
        step = np.linalg.solve(a.T @ a + np.diag(prior**2), a.T @ ((measured - predicted) * weight) - x * prior**2)
        x = x + np.clip(step, -1, 1)
        if np.abs(step).max() < 1e-4:
            break
    return Rates({name: float(x[index]) for name, index in names.items()})


@dataclass(frozen=True, slots=True)
class _Model:
    """The sums of all rows as arrays: one term per row and share, which parameters scale it, where its row begins."""

    size: np.ndarray
    scaled: np.ndarray
    first: np.ndarray
    placed: np.ndarray

    @classmethod
    def of(cls, rows: Sequence[Measured], names: Mapping[tuple[str, ...], int]) -> _Model:
        terms, first, size = [], [], []
        placed = np.zeros((len(rows), len(names)))
        for index, row in enumerate(rows):
            first.append(len(terms))
            for each, amount in sizes(row).items():
                if amount:
                    terms.append([names[name] for name in _share_names(row.pair, each)])
                    size.append(amount)
            placed[index, [names[name] for name in _place_names(row)]] = 1.0
        scaled = np.zeros((len(terms), len(names)))
        for index, which in enumerate(terms):
            scaled[index, which] = 1.0
        return cls(np.array(size), scaled, np.array(first), placed)

    def at(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """ln of the predicted cycles of every row at `x`, and its derivatives."""
        parts = self.size * np.exp(self.scaled @ x)
        whole = np.add.reduceat(parts, self.first)
        jacobian = np.add.reduceat(parts[:, None] * self.scaled, self.first) / whole[:, None]
        return np.log(whole) + self.placed @ x, jacobian + self.placed


__all__ = ["CALL", "CALL_INSTRUCTIONS", "SHARES", "START", "WEIGHTS", "Rates", "Spread", "fit", "sizes"]
