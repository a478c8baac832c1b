"""The int32 bias of integer operators: real value = stored value × scale of the input × scale of the weights."""

from __future__ import annotations

import numpy as np

from mcuprof.graph import DType, Quantization
from mcuprof.readers.onnx.net import Net

_INT32 = np.iinfo(np.int32)


def bias_quantization(net: Net, x: str, weights: str) -> Quantization | None:
    """Per output channel: scale of `x` times scale of `weights`, zero point 0."""
    left, right = net.values[x].quantization, net.values[weights].quantization
    if left is None or right is None or left.per_channel:
        return None
    scales = tuple(float(np.float32(left.scale[0] * scale)) for scale in right.scale)
    return Quantization(scales, (0,) * len(scales))


def int32_bias(net: Net, name: str, known: Quantization | None, x: str, weights: str) -> str | None:
    """The name of an int32 bias for the constant `name`: itself where it fits, else a new constant.

    `known` is its quantization, None for a float bias. None when it cannot be made (computed, stripped, not finite, or
    input and weights are not quantized).
    """
    tensor, product = net.values[name], bias_quantization(net, x, weights)
    if not tensor.is_constant or product is None:
        return None
    if known is not None and tensor.dtype is DType.INT32 and _about_equal(known, product):
        return name
    array = net.constant(name)
    if array is None or array.ndim != 1 or not all(product.scale):
        return None
    if any(len(one.scale) not in (1, len(array)) for one in (product, known) if one is not None):
        return None
    if known is not None:
        array = (array.astype(np.float64) - np.array(known.zero_point)) * np.array(known.scale)
    if not np.all(np.isfinite(array)):
        return None
    stored = np.clip(np.rint(array / np.array(product.scale)), _INT32.min, _INT32.max).astype(np.int32)
    net.note("biases that are not int32 with the scale of input times weights were made so, as converters do")
    return net.add_constant(f"{name}_int32", stored, product)


def _about_equal(stored: Quantization, product: Quantization) -> bool:
    """True when two bias quantizations differ by rounding only (a shared bias may carry another operator's scale)."""
    if any(stored.zero_point) or len(stored.scale) not in (1, len(product.scale)):
        return False
    left, right = np.array(stored.scale), np.array(product.scale)
    return bool(np.all(np.abs(left - right) <= 1e-4 * right))
