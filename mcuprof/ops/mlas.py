"""Float matrix products summed as ONNX Runtime's MLAS sums them on x86 with FMA, so that QDQ models round alike.

Source: onnxruntime `core/mlas/lib/sgemm.cpp` (strides, special cases), `convolve.cpp`, `x86_64/SgemmKernelM1Avx.S`,
`SgemmKernelM1TransposeBAvx.S`. Three ways to add the K products of an output element:

- chain: one fused multiply-add after the other within a block of K, the blocks' sums added in order;
- quads (one row, e.g. each channel of a depthwise convolution): four products added, then their sum; no fusing;
- lanes (one column, or one row times transposed weights): eight interleaved sums, then added up; no fusing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mcuprof.ops.kernel import Array

_STRIDE = 128  # MLAS_SGEMM_STRIDEN, MLAS_SGEMM_STRIDEK
_PACKED_STRIDE = 256  # MLAS_SGEMM_PACKED_STRIDEK: weights that are constants of the file are packed beforehand
_LANES = 8
_CHUNK = 1 << 15


def dense(x: Array, weights: Array, bias: Array | None, *, packed: bool, transposed: bool) -> Array:
    """x [M, K] · weights [K, N] + bias [N] or [M, N], float32.

    `packed`: the weights are constants of the file, else computed by the network. `transposed`: the model holds them as
    [N, K] (Gemm with transB), which matters to a single row.
    """
    start = np.zeros((len(x), weights.shape[1]), np.float32)
    if bias is not None:
        start += bias
    if packed:
        return _chain(start, x, weights, _PACKED_STRIDE, biased=bias is not None)
    if len(x) == 1 and not transposed:
        return _quads([*x.T], [*weights], start if bias is not None else None).reshape(start.shape)
    if len(x) == 1:
        return _lanes(start.T, weights.T, x[0]).T
    if weights.shape[1] == 1 and not transposed:
        return _lanes(start, x, weights[:, 0])
    return _chain(start, x, weights, k_stride(weights.shape[1], x.shape[1]), biased=bias is not None)


def convolve(patches: Array, filters: Array) -> Array:
    """patches [pixels, K] · filters [K, F] → [pixels, F], float32. K runs over channels, rows, columns.

    To MLAS the filters are the rows and the pixels the columns.
    """
    start = np.zeros((len(patches), filters.shape[1]), np.float32)
    if filters.shape[1] == 1:
        return quads([*patches.T], [*filters])[:, None]
    if len(patches) == 1:
        return _lanes(start.T, filters.T, patches[0]).T
    return _chain(start, patches, filters, k_stride(*patches.shape), biased=False)


def k_stride(columns: int, depth: int) -> int:
    """How many products `MlasSgemmOperation` adds before it goes to memory, for a product with K = `depth`."""
    stride_n = stride_k = _STRIDE
    if columns >= depth:
        while stride_k // 2 >= depth:
            stride_k //= 2
    else:
        while stride_n > 16 and stride_n // 2 >= columns:
            stride_k *= 2
            stride_n //= 2
    return stride_k


def quads(parts: Sequence[Array], factors: Sequence[Array]) -> Array:
    """Σ parts[k] · factors[k], the products added in fours, then two, then one. Depthwise: k is the tap."""
    return _quads(parts, factors, None)


def sum_of_all(rows: Array) -> Array:
    """Σ over the last axis, float32, as a global pool adds (`MlasPoolGlobalKernel`): four lanes, then what is left."""
    length = rows.shape[-1]
    lanes = np.zeros((*rows.shape[:-1], 4), np.float32)
    for k in range(0, length // 4 * 4, 4):
        lanes += rows[..., k : k + 4]
    total: Array = (lanes[..., 0] + lanes[..., 2]) + (lanes[..., 1] + lanes[..., 3])
    for k in range(length // 4 * 4, length):
        total += rows[..., k]
    return total


def _chain(start: Array, x: Array, weights: Array, stride: int, *, biased: bool) -> Array:
    depth, columns = weights.shape
    total = start.copy()
    # Chunks of rows that stay in a cache while all of k passes over them.
    step = max(1, _CHUNK // max(1, columns))
    rows = weights.astype(np.float64)
    for top in range(0, len(x), step):
        part = np.ascontiguousarray(x[top : top + step].T, np.float64)
        term = np.empty((part.shape[1], columns))
        for first in range(0, depth, stride):
            block = np.zeros_like(term, np.float32)
            for k in range(first, min(depth, first + stride)):
                np.multiply(part[k][:, None], rows[k], out=term)
                term += block
                block[...] = term
            total[top : top + step] = block if first == 0 and not biased else total[top : top + step] + block
    return total


def _quads(parts: Sequence[Array], factors: Sequence[Array], total: Array | None) -> Array:
    k, depth = 0, len(parts)
    while k < depth:
        count = 4 if depth - k >= 4 else 2 if depth - k >= 2 else 1
        part = parts[k] * factors[k]
        for more in range(k + 1, k + count):
            part += parts[more] * factors[more]
        total = part if total is None else total + part
        k += count
    assert total is not None, "a product has at least one term"
    return total


def _lanes(start: Array, x: Array, vector: Array) -> Array:
    """x [M, K] · vector [K] → [M, 1]. How a half's four lanes are added up depends on how many rows go together."""
    rows, depth = x.shape
    products = np.zeros((rows, -(-depth // _LANES) * _LANES), np.float32)
    np.multiply(x, vector, out=products[:, :depth])
    sums = np.zeros((rows, _LANES), np.float32)
    for k in range(0, products.shape[1], _LANES):
        sums += products[:, k : k + _LANES]
    a, b, c, d = np.moveaxis(sums.reshape(rows, 2, 4), -1, 0)
    total = _both(((a + b) + c) + d)  # four rows at a time
    four = rows // 4 * 4
    if rows - four >= 2:
        total[four : four + 2] = (_both(a + c) + _both(b + d))[four : four + 2]
    if rows % 2:
        total[-1] = _both((a + b) + (c + d))[-1]
    return start + total


def _both(halves: Array) -> Array:
    """The sum of the two halves of a register: [rows, 2] → [rows, 1]."""
    return halves[:, :1] + halves[:, 1:]


# expf of `compute.cpp` (MlasExpConstants): argument reduction in two steps, a polynomial of degree 6, all fused.
_LOWER, _LOG2E, _LOG2_HIGH, _LOG2_LOW = -88.3762626647949, 1.44269504088896341, -6.93145752e-1, -1.42860677e-6
_ROUND = 12582912.0
_POLYNOMIAL = ("0x1.694p-10", "0x1.125edcp-7", "0x1.555b5ap-5", "0x1.55545p-3", "0x1.fffff6p-2", "1", "1")


def softmax(rows: Array) -> Array:
    """Softmax over the last axis of float32: `MlasComputeSumExp` in twice eight lanes, then a product with 1 / sum."""
    powers = _exp(rows - rows.max(axis=-1, keepdims=True))
    length = powers.shape[-1]
    padded = np.zeros((*powers.shape[:-1], -(-length // _LANES) * _LANES), np.float32)
    padded[..., :length] = powers
    even, odd = np.zeros((2, *powers.shape[:-1], _LANES), np.float32)
    for k in range(0, padded.shape[-1], 2 * _LANES):
        even += padded[..., k : k + _LANES]
        if k + _LANES < padded.shape[-1]:
            odd += padded[..., k + _LANES : k + 2 * _LANES]
    sums = even + odd
    while sums.shape[-1] > 1:
        sums = sums[..., 0::2] + sums[..., 1::2]
    result: Array = powers * (np.float32(1) / sums)
    return result


def _exp(x: Array) -> Array:
    lower, log2e, log2_high, log2_low, rounder = np.array([_LOWER, _LOG2E, _LOG2_HIGH, _LOG2_LOW, _ROUND], np.float32)
    x = np.maximum(x, lower)
    biased = _fused(x, log2e, rounder)
    whole = biased - rounder
    rest = _fused(whole, log2_low, _fused(whole, log2_high, x))
    first, *others = np.array([float.fromhex(text) for text in _POLYNOMIAL], np.float32)
    total: Array = np.full_like(rest, first)
    for coefficient in others:
        total = _fused(total, rest, coefficient)
    return np.ldexp(total, whole.astype(np.int32))


# `MlasLogisticConstants` and `MlasTanhConstants`: odd polynomial / even polynomial, highest power first.
_LOGISTIC = (
    (4.37031012579801e-11, 1.15627324459942e-07, 6.08574864600143e-05, 8.51377133304701e-03, 2.48287947061529e-01),
    (
        *(6.10247389755681e-13, 5.76102136993427e-09, 6.29106785017040e-06, 1.70198817374094e-03),
        *(1.16817656904453e-01, 9.93151921023180e-01),
    ),
)
_TANH = (
    (
        *(-2.76076847742355e-16, 2.00018790482477e-13, -8.60467152213735e-11, 5.12229709037114e-08),
        *(1.48572235717979e-05, 6.37261928875436e-04, 4.89352455891786e-03),
    ),
    (1.19825839466702e-06, 1.18534705686654e-04, 2.26843463243900e-03, 4.89352518554385e-03),
)


def logistic(x: Array) -> Array:
    """`MlasComputeLogistic` on float32."""
    return np.clip(_quotient(np.clip(x, np.float32(-18), np.float32(18)), *_LOGISTIC) + np.float32(0.5), 0, 1)


def tanh(x: Array) -> Array:
    """`MlasComputeTanh` on float32."""
    return _quotient(np.clip(x, np.float32(-9), np.float32(9)), *_TANH)


def tanh_in_steps(x: Array) -> Array:
    """`deepcpu::tanh` of `rnn_helpers.cc` on float32: MLAS's quotient, with products and sums rounded one by one."""
    return _quotient(np.clip(x, np.float32(-10), np.float32(10)), *_TANH, fused=False)


def logistic_in_steps(x: Array) -> Array:
    """`deepcpu::sigmoid` of `rnn_helpers.cc` on float32: by way of tanh(x / 2)."""
    half = np.float32(0.5)
    return half * (np.float32(1) + _quotient(np.clip(x, np.float32(-20), np.float32(20)) * half, *_TANH, fused=False))


def _quotient(x: Array, odd: Sequence[float], even: Sequence[float], *, fused: bool = True) -> Array:
    square = x * x
    over, under = np.full_like(x, np.float32(odd[0])), np.full_like(x, np.float32(even[0]))
    for coefficient in odd[1:]:
        over = _multiply_add(over, square, np.float32(coefficient), fused=fused)
    for coefficient in even[1:]:
        under = _multiply_add(under, square, np.float32(coefficient), fused=fused)
    result: Array = over * x / under
    return result


def _multiply_add(x: Array, y: Array, total: np.float32, *, fused: bool) -> Array:
    return _fused(x, y, total) if fused else x * y + total


def _fused(x: Array, y: Array | np.float32, total: Array | np.float32) -> Array:
    """x·y + total, rounded once but for the rare double rounding of the sum: float64 holds the product exactly."""
    result: Array = (x.astype(np.float64) * y + total).astype(np.float32)
    return result
