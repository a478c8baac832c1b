"""Matrix products whose sums are taken as a runtime takes them.

- `exact`: integers held in floats below the exact bound (`kernel.matmul_type`): any order gives the same, BLAS serves.
- `reference`: TFLM's float loops: ascending k, one rounding per product and one per addition.
- `mlas`: ONNX Runtime's float products, in `ops/mlas.py`.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from mcuprof.graph import Graph
from mcuprof.ops import mlas
from mcuprof.ops.kernel import Array, is_onnx

Sums = Literal["exact", "reference", "mlas"]
# Attribute of an operator whose float weights the network makes from integers: MLAS cannot pack them beforehand.
DEQUANTIZED = "weights_dequantized"
_CHUNK = 1 << 15


def float_sums(graph: Graph) -> Sums:
    """How the model's runtime adds floats."""
    return "mlas" if is_onnx(graph) else "reference"


def product(rows: Array, matrix: Array, how: Sums) -> Array:
    """rows [M, K] · matrix [K, N] of one float type → [M, N]. `mlas`: of a convolution, see `mlas.convolve`."""
    if how == "exact":
        return rows @ matrix
    if how == "mlas":
        return mlas.convolve(rows, matrix)
    total = np.zeros((len(rows), matrix.shape[1]), np.float32)
    # Chunks of rows that stay in a cache while all of k passes over them.
    step = max(1, _CHUNK // max(1, matrix.shape[1]))
    for start in range(0, len(rows), step):
        part, columns = total[start : start + step], np.ascontiguousarray(rows[start : start + step].T)
        _reference(part, columns, matrix)
    return total


def _reference(total: Array, columns: Array, matrix: Array) -> None:
    term = np.empty_like(total)
    for column, row in zip(columns, matrix, strict=True):
        np.multiply(column[:, None], row, out=term)
        total += term
