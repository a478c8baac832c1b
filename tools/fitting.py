"""Fitting cost laws: instructions = Σ coefficient · feature; coefficients ≥ 0, relative errors weighed alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from tables import Row

# Features a kernel family may use, poorest list first; the list that predicts unseen models best is taken.
_WINDOW_POOR = ("const", "out_elems", "macs")
_REFERENCE = ("const", "out_elems", "taps", "tap_rows", "valid_taps", "valid_macs")
_POOLS: tuple[tuple[str, tuple[tuple[str, ...], ...]], ...] = (
    (
        "conv_s8:1x1-strided",
        (
            _WINDOW_POOR,
            ("const", "out_elems", "macs", "row_weights", "row_c", "out_rows"),
            ("const", "out_elems", "macs", "row_weights", "row_c", "out_rows", "row_rest_macs", "k_blocks16"),
        ),
    ),
    (
        "conv_s8:1x1",
        (
            _WINDOW_POOR,
            # The matrix product has hardly a fixed cost. Layers counted alone have nine pixels and more, and a constant
            # that makes up for noise there would be most of a layer of one pixel.
            ("out_elems", "macs", "weights", "k_rest4"),
            ("const", "out_elems", "macs", "out_pixels", "weights", "out_c", "k_rest4", "odd_c"),
            (
                *("const", "out_elems", "macs", "out_pixels", "weights", "out_c", "k_rest4", "odd_c", "odd_pixels"),
                *("k_blocks16", "weight_blocks16", "rest_macs", "rest_elems", "quad_elems", "patch_rest4"),
                *("patch_blocks16", "c_rest4"),
            ),
        ),
    ),
    (
        "conv_",
        (
            _WINDOW_POOR,
            ("const", "out_elems", "macs", "out_pixels", "patch_elems", "patch_cells", "patch_rows"),
            _REFERENCE,
            (
                *("const", "out_elems", "macs", "out_pixels", "patch_elems", "patch_cells", "patch_rows", "out_rows"),
                *("k_rest4", "patch_rest4", "odd_c", "odd_pixels", "valid_patch_cells", "weights", "out_c"),
                *("k_blocks16", "patch_blocks16", "rest_macs", "rest_elems", "quad_elems", "c_rest4"),
            ),
            (*_REFERENCE, "out_pixels", "out_rows", "macs", "out_c"),
        ),
    ),
    (
        "dwconv_",
        (
            _WINDOW_POOR,
            _REFERENCE,
            ("const", "out_elems", "macs", "valid_macs", "out_pixels", "patch_cells", "valid_patch_cells", "out_rows"),
            (
                *("const", "out_elems", "macs", "valid_macs", "out_pixels", "patch_cells", "valid_patch_cells"),
                *("out_rows", "patch_rows", "lanes4", "c_rest4", "tap_lanes4", "tap_rest4", "clean_pixels"),
                *("clean_elems", "out_c", "tap_rows"),
            ),
            (
                *("const", "out_c", "out_pixels", "patch_rows", "patch_cells", "block_cells", "block_pixels"),
                *("valid_tap_lanes16", "tap_lanes16", "quad_lanes4", "quad_tap_lanes4", "rest_lanes4"),
                *("rest_tap_lanes4", "valid_patch_cells", "out_rows"),
            ),
        ),
    ),
    (
        "avgpool",
        (
            _WINDOW_POOR,
            ("const", "out_elems", "valid_macs", "out_pixels", "patch_cells", "patch_rows"),
            ("const", "out_elems", "valid_macs", "tap_rows", "out_rows"),
            ("const", "out_elems", "valid_macs", "out_pixels", "patch_cells", "valid_tap_lanes16", "lanes16"),
        ),
    ),
    (
        "maxpool",
        (
            _WINDOW_POOR,
            ("const", "out_elems", "valid_macs", "out_pixels", "patch_cells", "patch_rows"),
            ("const", "out_elems", "valid_macs", "tap_rows", "out_rows"),
            ("const", "out_pixels", "patch_cells", "valid_tap_lanes16", "lanes16"),
            ("const", "out_elems", "valid_macs", "out_pixels", "patch_cells", "valid_patch_cells", "lanes4"),
            ("const", "out_pixels", "patch_cells", "valid_tap_lanes4", "tap_rest4", "lanes4", "out_rows"),
        ),
    ),
    (
        "fc_",
        (
            ("const", "out_elems", "macs"),
            ("const", "out_elems", "macs", "batches", "in_elems", "out_c"),
            ("const", "out_elems", "macs", "batches", "in_elems", "out_c", "k_rest4", "rest_macs"),
            (
                *("const", "out_elems", "macs", "batches", "in_elems", "out_c", "k_rest4", "rest_macs"),
                *("k_blocks16", "quad_blocks16", "quads", "quad_k_rest"),
            ),
        ),
    ),
    ("svdf", (("const", "feature_macs", "time_macs"), ("const", "feature_macs", "time_macs", "filters", "out_elems"))),
    ("lstm", (("macs",), ("const", "macs"), ("const", "macs", "steps", "out_elems"))),
    ("mean", (("const", "out_elems", "in_elems"), ("const", "out_elems", "in_elems", "in_x_rank", "out_x_rank"))),
    ("concatenation", (("const", "bytes"), ("const", "bytes", "parts", "copies"))),
    ("split", (("const", "bytes"), ("const", "bytes", "parts", "copies"))),
    ("pad", (("const", "out_elems", "in_elems"), ("const", "out_elems", "added_elems", "segments", "out_rows"))),
    ("reshape", (("const", "bytes"),)),
    ("", (("const", "out_elems"), ("const", "out_elems", "out_rows"), ("const", "bytes", "out_rows", "in_elems"))),
)


@dataclass(frozen=True, slots=True)
class Law:
    """A fitted cost law. `errors` are the relative errors on rows of held-out model groups (empty: only one group).

    `domain` is the range of every feature where one group of models is all that is known of a compute-bound class.
    """

    coefficients: dict[str, float]
    rows: int
    models: int
    errors: tuple[float, ...]
    basis: str = "operators"
    domain: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def predict(self, features: object) -> float:
        """Instructions for these features."""
        return predict(self.coefficients, features)


def predict(coefficients: dict[str, float], features: object) -> float:
    """Σ coefficient · feature."""
    return sum(value * features[name] for name, value in coefficients.items())  # type: ignore[index]


def fit(rows: Sequence[Row]) -> Law:
    """The cost law of one kernel class: the feature list with the least mean error on held-out groups."""
    rows = _separate(rows)
    names = sorted({row.group for row in rows})
    best: tuple[float, dict[str, float], tuple[float, ...]] | None = None
    for pool in pools(rows):
        errors = held_out_errors(rows, pool) if len(names) > 1 else ()
        coefficients = solve(rows, pool)
        judged = errors or tuple(predict(coefficients, row.features) / row.instructions - 1 for row in rows)
        # A richer list must earn its extra features; the mean, not the square, so that one odd row does not decide.
        score = float(np.mean(np.abs(judged)))
        if best is None or score < best[0] * 0.97 - 1e-4:
            best = (score, coefficients, errors)
    assert best is not None
    return Law(best[1], len(rows), len({row.model for row in rows}), best[2])


def _separate(rows: Sequence[Row]) -> Sequence[Row]:
    """The rows, each its own group where there are too few groups to judge a law by holding one out."""
    if len({row.group for row in rows}) > 2:
        return rows
    return [replace(row, group=f"{row.group} {index}") for index, row in enumerate(rows)]


def pools(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """Feature lists to try: those of the family, without features that are missing, zero, or too many for the rows."""
    kernel = rows[0].kernel
    lists = next(lists for prefix, lists in _POOLS if kernel.startswith(prefix))
    distinct = len({tuple(sorted(row.features.items())) for row in rows})
    usable = [
        tuple(name for name in names if any(row.features.get(name) for row in rows))
        for names in lists
        if all(name in rows[0].features for name in names)
    ]
    fitting = [names for names in usable if len(names) <= max(2, -(-distinct * 3 // 5))]
    if distinct == 1:  # one size only: nothing but proportionality can be said
        return [usable[0][-1:]]
    return list(dict.fromkeys(fitting)) or [usable[0][:1] + usable[0][-1:]]


def held_out_errors(rows: Sequence[Row], pool: Sequence[str]) -> tuple[float, ...]:
    """Relative error of every row, predicted by the law fitted without its group."""
    errors = []
    for group in sorted({row.group for row in rows}):
        rest = [row for row in rows if row.group != group]
        coefficients = solve(rest, pool)
        errors += [predict(coefficients, row.features) / row.instructions - 1 for row in rows if row.group == group]
    return tuple(errors)


def solve(rows: Sequence[Row], pool: Sequence[str]) -> dict[str, float]:
    """Coefficients ≥ 0 that minimise Σ (predicted / counted − 1)²."""
    matrix = np.array([[row.features[name] / row.instructions for name in pool] for row in rows])
    scale = np.abs(matrix).max(axis=0)
    scale[scale == 0] = 1.0
    values = nonnegative(matrix / scale, np.ones(len(rows))) / scale
    return {name: float(value) for name, value in zip(pool, values, strict=True) if value > 0}


def nonnegative(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Least squares with x ≥ 0 by active sets (Lawson and Hanson, Solving Least Squares Problems, 1974, ch. 23)."""
    x = np.zeros(a.shape[1])
    active = np.zeros(a.shape[1], bool)
    for _ in range(10 * a.shape[1]):
        gradient = np.where(active, -np.inf, a.T @ (b - a @ x))
        if gradient.max() <= 1e-9:
            break
        active[int(np.argmax(gradient))] = True
        while active.any():
            trial = np.zeros_like(x)
            trial[active] = np.linalg.lstsq(a[:, active], b, rcond=None)[0]
            if trial[active].min() > 0:
                x = trial
                break
            below = active & (trial <= 0)
            step = float(np.min(x[below] / np.maximum(x[below] - trial[below], 1e-300)))
            x = x + step * (trial - x)
            active &= x > 1e-12
            x[~active] = 0.0
    return x
