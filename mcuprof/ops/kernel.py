"""What kernels share: their types, the quantization of a tensor, and the step from accumulator to output integers.

A kernel is prepared once per operator (`prepare(graph, op)`: weights cast, multipliers worked out) and is then a pure
function of its input arrays. It returns the operator's outputs, followed by the new contents of the variable tensors
among its inputs, in input order. What an operator keeps for itself (`Operator.state`) comes last in both. Which
numerics it follows is the model's: ONNX Runtime's for a graph that came from ONNX, else TensorFlow Lite Micro's
reference kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from mcuprof.graph import ABSENT, DType, Graph, Op, Shape, Tensor
from mcuprof.ops import numerics

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

Array: TypeAlias = "NDArray[Any]"
Inputs = Sequence[Any]
Kernel = Callable[[Inputs], tuple[Array, ...]]
Prepare = Callable[[Graph, Op], Kernel]
Rescaler = Callable[[Array], Array]


@dataclass(frozen=True, slots=True)
class ByRows:
    """A kernel that can also make some of its output's `rows` alone, from no more of its inputs than these need.

    `part(inputs, start, stop)` gives rows start … stop of its only output: one stretch of it, in the output's order.
    """

    shape: Shape
    rows: int
    part: Callable[[Inputs, int, int], Array]

    def __call__(self, inputs: Inputs) -> tuple[Array, ...]:
        """All rows."""
        return (np.ascontiguousarray(self.part(inputs, 0, self.rows)).reshape(self.shape),)


F32_EXACT = 2**24
F64_EXACT = 2**53


class NoKernel(Exception):
    """This operator, or this type or option of it, cannot be executed here. The message completes 'has no kernel: '."""


def expect(graph: Graph, op: Op, *inputs: DType, outputs: Sequence[DType]) -> None:
    """Raises NoKernel unless the operator's first operands have just these types, where only those have a kernel."""
    for what, types, tensors in (("input", inputs, op.inputs), ("output", outputs, op.outputs)):
        for position, dtype in enumerate(types):
            index = tensors[position] if position < len(tensors) else ABSENT
            found = None if index == ABSENT else graph.tensors[index].dtype
            if found is not dtype:
                raise NoKernel(f"{what} {position} is {found.value if found else 'absent'}, not {dtype.value}")


def is_onnx(graph: Graph) -> bool:
    """True when the model runs under ONNX Runtime's numerics."""
    return graph.origin.format == "onnx"


def storage(dtype: DType) -> np.dtype[Any]:
    """The NumPy type a tensor of this type is held in; 4- and 2-bit integers one to a byte. Raises NoKernel."""
    if dtype in (DType.INT4, DType.INT2):
        return np.dtype(np.int8)
    if dtype is DType.UINT4:
        return np.dtype(np.uint8)
    try:
        # bfloat16 is a NumPy type only where some other package happened to register it.
        return np.dtype(dtype.value if dtype is not DType.BFLOAT16 else "none")
    except TypeError:
        raise NoKernel(f"tensors of type {dtype.value}") from None


def is_float(tensor: Tensor) -> bool:
    """True for float32 tensors, the only floats with kernels."""
    if tensor.dtype.is_float and tensor.dtype is not DType.FLOAT32:
        raise NoKernel(f"tensors of type {tensor.dtype.value}")
    return tensor.dtype is DType.FLOAT32


def scale_of(tensor: Tensor) -> np.float32:
    """The per-tensor scale as the file's float32. Raises NoKernel where there is none or more than one."""
    scales = scales_of(tensor)
    if len(scales) != 1:
        raise NoKernel(f"{len(scales)} scales on tensor {tensor.name!r}, where one is needed")
    return np.float32(scales[0])


def scales_of(tensor: Tensor) -> NDArray[np.float32]:
    """All scales of a tensor, float32; 0 is let through, because a constant of zeros may have it.

    Raises NoKernel where they are missing, negative or not finite.
    """
    scales = np.array(tensor.quantization.scale if tensor.quantization else (), np.float32)
    if not len(scales) or not (np.isfinite(scales) & (scales >= 0)).all():
        raise NoKernel(f"tensor {tensor.name!r} has no usable scale")
    return scales


def divisor_of(tensor: Tensor) -> np.float32:
    """The scale of a tensor whose values are divided by it. Raises NoKernel where it is 0 too."""
    scale = scale_of(tensor)
    if scale == 0:
        raise NoKernel(f"tensor {tensor.name!r} has a scale of 0")
    return scale


def zero_of(tensor: Tensor) -> int:
    """The per-tensor zero point, 0 where the file has none."""
    zeros = tensor.quantization.zero_point if tensor.quantization else ()
    return int(zeros[0]) if zeros else 0


def limits(dtype: DType) -> tuple[int, int]:
    """Smallest and largest value of an integer type."""
    if dtype.value.startswith("uint"):
        return 0, (1 << dtype.bits) - 1
    return -(1 << (dtype.bits - 1)), (1 << (dtype.bits - 1)) - 1


_FLOAT_RANGE = {"NONE": (-inf, inf), "RELU": (0.0, inf), "RELU6": (0.0, 6.0), "RELU_N1_TO_1": (-1.0, 1.0)}


def float_range(op: Op) -> tuple[float, float]:
    """Bounds of the fused activation. Raises NoKernel for one that is not a clamp."""
    activation = op.text("activation", "NONE")
    if activation not in _FLOAT_RANGE:
        raise NoKernel(f"fused activation {activation}")
    return _FLOAT_RANGE[activation]


def fused_range(op: Op, output: Tensor) -> tuple[int, int]:
    """`CalculateActivationRangeQuantized`: the type's range, narrowed by the fused activation (float32 division)."""
    low, high = limits(output.dtype)
    below, above = float_range(op)
    if below != -np.inf:
        low = max(low, quantized(below, output))
    if above != np.inf:
        high = min(high, quantized(above, output))
    return low, high


def quantized(real: float, tensor: Tensor) -> int:
    """zero point + round-half-away(real / scale), the quotient in float32; not clamped."""
    return zero_of(tensor) + int(numerics.round_away(np.float32(real) / divisor_of(tensor)))


def clamp_float(op: Op, values: Array) -> Array:
    """The fused activation on floats."""
    below, above = float_range(op)
    if below == -np.inf and above == np.inf:
        return values
    return np.clip(values, np.float32(below), np.float32(above))


def clamp_plain(op: Op, values: Array) -> Array:
    """The fused activation on integers without quantization."""
    below, above = float_range(op)
    low, high = limits(DType(values.dtype.name))
    return (
        np.clip(values, max(low, below), min(high, above)).astype(values.dtype) if above < inf or below == 0 else values
    )


@dataclass(frozen=True, slots=True)
class Target:
    """Where an accumulator goes: zero point, clamp and storage type of the output."""

    zero: int
    low: int
    high: int
    dtype: np.dtype[Any]


def target(op: Op, tensor: Tensor) -> Target:
    """The output's zero point and fused clamp."""
    return Target(zero_of(tensor), *fused_range(op, tensor), storage(tensor.dtype))


def plain_target(tensor: Tensor) -> Target:
    """The output's zero point and its type's range, for operators without fused activation."""
    return Target(zero_of(tensor), *limits(tensor.dtype), storage(tensor.dtype))


def rescaler(graph: Graph, multiplier: ArrayLike, out: Target, bound: Any, *, wide: bool = False) -> Rescaler:
    """accumulator → clamp(round(accumulator · multiplier) + zero point), in the numerics of the model's runtime.

    `multiplier` is float64, scalar or one per last-axis index. The accumulator may be of any type that holds integers
    of magnitude ≤ `bound` (likewise a scalar or one per index) exactly. `wide` says that the runtime accumulates in
    int64 (one rounding instead of two).
    """
    if is_onnx(graph):
        return float_rescaler(np.asarray(multiplier, np.float32), out)
    q, shift = numerics.quantize_multipliers(multiplier)
    factor, tie, bits = closed_form(q, shift, wide=wide)
    reach = np.abs(factor) * bound + 1
    all_at_once = reach + (out.high - out.low) + abs(out.zero)
    overflows = wide and bool(np.any(all_at_once >= 2.0**31))
    if not overflows and np.all(np.ldexp(all_at_once, bits) < F64_EXACT):
        return _float64_rescaler(factor, tie, out)
    if overflows or np.any(np.ldexp(reach, bits) >= F64_EXACT):
        exact = numerics.multiply_by_quantized_multiplier_64 if wide else numerics.multiply_by_quantized_multiplier
        return lambda acc: np.clip(exact(acc.astype(np.int64), q, shift) + out.zero, out.low, out.high).astype(
            out.dtype
        )
    return _floor_rescaler(factor, tie, out)


def gives_sums(x: Tensor, out: Tensor) -> bool:
    """True where the output takes accumulators as they are (ONNX ConvInteger, MatMulInteger) and x has its zero."""
    return x.quantization is not None and out.dtype is DType.INT32 and out.quantization is None


def as_sums(acc: Array) -> Array:
    """Accumulators, which hold integers, as int32."""
    return acc.astype(np.int64).astype(np.int32)


def closed_form(q: Array, shift: Array, *, wide: bool) -> tuple[Array, Array, Array]:
    """(factor, tie, bits) with MultiplyByQuantizedMultiplier(x) = ⌊x·factor + ½ + tie·sgn(x)⌋ for every integer x.

    The first rounding v = ⌊y + ½⌋ of y = x·q·2^(left − 31) is followed by ⌊(v + 2^(e−1) − [v < 0]) / 2^e⌋. As
    ⌊y + ½⌋ ≥ n is y + ½ ≥ n for integer n, both floors fall into one: ⌊(y + ½ + 2^(e−1) − [v < 0]) / 2^e⌋, that is
    ⌊y/2^e + ½ ± 2^−(e+1)⌋, and 0 on either side of the sign. For e = 0 the second step is nothing. `bits` is the number
    of fraction bits of each sum: it is exact in float64 while its magnitude stays below 2^(53 − bits).
    """
    if wide:
        reduced = np.where(q < 0x7FFF0000, (q + (1 << 15)) >> 16, 0x7FFF)
        return np.ldexp(reduced.astype(np.float64), shift - 15), np.zeros(q.shape), np.maximum(15 - shift, 0)
    right = np.maximum(-shift, 0)
    tie = np.where(right > 0, np.ldexp(1.0, -(right + 1)), 0.0)
    return np.ldexp(q.astype(np.float64), shift - 31), tie, 31 + right


def _float64_rescaler(factor: Array, tie: Array, out: Target) -> Rescaler:
    """The closed form in float64. The sum is shifted to start at 0, so that the cast to unsigned is the floor."""
    unsigned = np.dtype(f"u{out.dtype.itemsize}")
    base = unsigned.type(out.low % (1 << (8 * unsigned.itemsize)))
    top = out.high - out.low + 0.5
    offset = out.zero - out.low + 0.5
    # Where the clamp hides every negative sum, the side on which its ties fall does not matter.
    signed = bool(np.any(tie)) and out.low < out.zero
    always = offset if signed else offset + tie

    def rescale(acc: Array) -> Array:
        y = np.asarray(np.multiply(acc, factor, dtype=np.float64))  # an array even of no dimensions
        if signed:
            y += np.copysign(tie, y)
        y += always
        np.maximum(y, 0.0, out=y)
        np.minimum(y, top, out=y)
        result = y.astype(unsigned)
        result += base
        return result.view(out.dtype)

    return rescale


def _floor_rescaler(factor: Array, tie: Array, out: Target) -> Rescaler:
    """As `_float64_rescaler`, one step longer: the zero point is added to the floor, which may so have more bits."""
    signed = bool(np.any(tie))

    def rescale(acc: Array) -> Array:
        y = np.asarray(np.multiply(acc, factor, dtype=np.float64))  # an array even of no dimensions
        if signed:
            y += np.copysign(tie, y)
        y += 0.5
        np.floor(y, out=y)
        y += out.zero
        np.maximum(y, out.low, out=y)
        np.minimum(y, out.high, out=y)
        return y.astype(out.dtype)

    return rescale


def float_rescaler(scale: NDArray[np.float32], out: Target) -> Rescaler:
    """ONNX Runtime (MLAS requantization): rint(float32(acc) · float32 scale), halves to even, + zero point, clamped."""
    low, high = np.float32(out.low - out.zero), np.float32(out.high - out.zero)
    zero = out.zero

    def rescale(acc: Array) -> Array:
        y = np.asarray(acc.astype(np.float32) * scale)
        np.maximum(y, low, out=y)
        np.minimum(y, high, out=y)
        np.rint(y, out=y)
        return (y.astype(np.int32) + zero).astype(out.dtype)

    return rescale


def matmul_type(bound: float) -> type[np.float32] | type[np.float64]:
    """The float type whose BLAS sums integers exactly when no partial sum exceeds `bound`: float32 below 2^24.

    Any order of summation, with or without fused multiply-add, is exact then. Raises NoKernel from 2^53 on.
    """
    if bound < F32_EXACT:
        return np.float32
    if bound >= F64_EXACT:
        raise NoKernel("sums beyond 2^53")
    return np.float64


def span(tensor: Tensor) -> int:
    """The largest |q − zero point| that the tensor's type can hold."""
    low, high = limits(tensor.dtype)
    return max(high - zero_of(tensor), zero_of(tensor) - low)
