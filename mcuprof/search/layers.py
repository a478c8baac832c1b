"""Networks as layer descriptions, before any file exists: what an architecture search has in its hands.

A network is a list of layers in execution order. `inputs` count backwards: −1 is the layer before, −3 two before that,
and what lies before the first layer is the network's input. So a block of layers is the same wherever it stands, and
what is known of it is found again.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Literal, NamedTuple

from mcuprof.errors import UsageError
from mcuprof.graph import Attribute, DType, Graph, Op, Origin, Quantization, Shape, Tensor
from mcuprof.ops.geometry import window_size

Pair = tuple[int, int]
Padding = Literal["SAME", "VALID"]
# Bytes of a file per tensor and operator beside contents and quantization: tables, names, alignment. Median of 81 int8
# files of converters; 90 % of them lie between 90 and 212.
TABLE_BYTES = 125
MAX_SIZE = 1 << 24


class Layer(NamedTuple):
    """One int8 operator. Sizes are (rows, columns); `channels` are those of its output, 0 where they follow."""

    kind: str
    channels: int = 0
    kernel: Pair = (1, 1)
    stride: Pair = (1, 1)
    padding: Padding = "SAME"
    activation: str = "NONE"
    inputs: tuple[int, ...] = (-1,)


def conv(
    channels: int, kernel: int | Pair = 3, stride: int | Pair = 1, activation: str = "RELU", padding: Padding = "SAME"
) -> Layer:
    """CONV_2D with bias, weights quantized per channel."""
    return Layer("CONV_2D", channels, _pair(kernel), _pair(stride), padding, activation)


def depthwise(
    kernel: int | Pair = 3, stride: int | Pair = 1, activation: str = "RELU", padding: Padding = "SAME"
) -> Layer:
    """DEPTHWISE_CONV_2D with bias, one filter per channel."""
    return Layer("DEPTHWISE_CONV_2D", 0, _pair(kernel), _pair(stride), padding, activation)


def dense(units: int, activation: str = "NONE") -> Layer:
    """FULLY_CONNECTED with bias, weights quantized per tensor."""
    return Layer("FULLY_CONNECTED", units, activation=activation)


def average_pool(kernel: int | Pair, stride: int | Pair | None = None, padding: Padding = "VALID") -> Layer:
    """AVERAGE_POOL_2D; the stride is the kernel's size where none is given."""
    return Layer("AVERAGE_POOL_2D", 0, _pair(kernel), _pair(kernel if stride is None else stride), padding)


def max_pool(kernel: int | Pair, stride: int | Pair | None = None, padding: Padding = "VALID") -> Layer:
    """MAX_POOL_2D; the stride is the kernel's size where none is given."""
    return average_pool(kernel, stride, padding)._replace(kind="MAX_POOL_2D")


def mean() -> Layer:
    """MEAN over rows and columns: what converters make of global average pooling."""
    return Layer("MEAN")


def add(a: int, b: int, activation: str = "NONE") -> Layer:
    """ADD of two earlier layers, counted backwards."""
    return Layer("ADD", activation=activation, inputs=(a, b))


def concat(*inputs: int) -> Layer:
    """CONCATENATION of earlier layers along the channels."""
    return Layer("CONCATENATION", inputs=inputs)


def flatten() -> Layer:
    """RESHAPE to a vector."""
    return Layer("RESHAPE")


def softmax() -> Layer:
    """SOFTMAX."""
    return Layer("SOFTMAX")


class Block(NamedTuple):
    """A layer at given input shapes: its constants and its output, as tensors that all graphs share."""

    kind: str
    attributes: dict[str, Attribute]
    constants: tuple[Tensor, ...]
    output: Tensor
    file_bytes: int


class Builder:
    """Makes graphs of layers; remembers every layer it has seen at every input shape."""

    def __init__(self) -> None:
        self._blocks: dict[tuple[Layer, tuple[Shape, ...]], Block] = {}

    def block(self, layer: Layer, shapes: tuple[Shape, ...]) -> Block:
        """The layer at these shapes of its inputs. Raises UsageError where they do not go together."""
        found = self._blocks.get((layer, shapes))
        if found is None:
            found = self._blocks[layer, shapes] = _block(layer, shapes)
        return found

    def graph(self, layers: Sequence[Layer], input_shape: Shape) -> Graph:
        """The network of these layers on inputs of `input_shape` (rows, columns, channels; or features), batch 1.

        Tensors lie in the order in which converters write them; weights have no content. `origin.nbytes` is the size
        that its file would have (see `TABLE_BYTES`). Raises UsageError for what is no network, with the layer's index.
        """
        tensors = [network_input(input_shape)]
        ops: list[Op] = []
        values = [0]
        nbytes = TABLE_BYTES + _quantization_bytes(tensors[0])
        for number, layer in enumerate(layers):
            try:
                sources = _sources(layer.inputs, values)
                block = self.block(layer, tuple([tensors[source].shape for source in sources]))
            except UsageError as error:
                raise UsageError(f"layer {number} ({layer.kind}): {error}") from None
            first = len(tensors)
            tensors += block.constants
            values.append(len(tensors))
            tensors.append(block.output)
            ops.append(Op(block.kind, (*sources, *range(first, values[-1])), (values[-1],), block.attributes))
            nbytes += block.file_bytes
        if not ops:
            raise UsageError("a network needs at least one layer")
        origin = Origin(format="layers", nbytes=nbytes)
        return Graph("layers", tuple(tensors), tuple(ops), (0,), (values[-1],), origin)


def network_input(shape: Shape) -> Tensor:
    """The tensor of the network's input. Raises UsageError for a shape that is none."""
    if not shape or not all(0 < size <= MAX_SIZE for size in shape):
        raise UsageError(f"not an input shape: {shape!r} (rows, columns, channels; or features)")
    return Tensor("input", (1, *shape), DType.INT8, _affine(1))


def _sources(inputs: tuple[int, ...], values: list[int]) -> tuple[int, ...]:
    """The tensors that `inputs` count back to among `values`."""
    if inputs == (-1,):
        return (values[-1],)
    if not inputs or not all(-len(values) <= back < 0 for back in inputs):
        raise UsageError(f"no input {' or '.join(map(str, inputs))} here")
    return tuple([values[back] for back in inputs])


def _pair(size: int | Pair) -> Pair:
    return (size, size) if isinstance(size, int) else size


def _affine(count: int) -> Quantization:
    return Quantization((1.0,) * count, (0,) * count)


def _quantization_bytes(tensor: Tensor) -> int:
    return 12 * len(tensor.quantization.scale) if tensor.quantization else 0


def _block(layer: Layer, shapes: tuple[Shape, ...]) -> Block:
    attributes: dict[str, Attribute] = {}
    constants: tuple[Tensor, ...] = ()
    output: Shape
    x = shapes[0]
    if min((layer.channels, *layer.kernel, *layer.stride)) < 0 or 0 in (*layer.kernel, *layer.stride):
        raise UsageError("sizes must be positive")
    if layer.kind in ("CONV_2D", "DEPTHWISE_CONV_2D", "AVERAGE_POOL_2D", "MAX_POOL_2D"):
        attributes = _window_attributes(layer)
        rows, columns, depth = _image(x)
        sizes = zip((rows, columns), layer.kernel, layer.stride, strict=True)
        height, width = (window_size(size, kernel, step, 1, layer.padding) for size, kernel, step in sizes)
        channels = _positive(layer.channels) if layer.kind == "CONV_2D" else depth
        output = (1, height, width, channels)
        if layer.kind == "CONV_2D":
            constants = _weights((channels, *layer.kernel, depth), 0, channels)
        elif layer.kind == "DEPTHWISE_CONV_2D":
            constants = _weights((1, *layer.kernel, depth), 3, channels)
            attributes["multiplier"] = 1
        else:
            del attributes["dilation_h"], attributes["dilation_w"]
            attributes |= {"filter_h": layer.kernel[0], "filter_w": layer.kernel[1]}
    elif layer.kind == "FULLY_CONNECTED":
        units = _positive(layer.channels)
        output, constants = (1, units), _weights((units, prod(x)), 0, units, per_channel=False)
        attributes = {"activation": layer.activation}
    elif layer.kind == "MEAN":
        output, constants = (1, _image(x)[2]), (_integers("axes", (1, 2)),)
        attributes = {"keep_dims": False}
    elif layer.kind == "ADD":
        if len(shapes) != 2 or shapes[0] != shapes[1]:
            raise UsageError(f"adds two inputs of one shape, not {' and '.join(map(_dims, shapes))}")
        output, attributes = x, {"activation": layer.activation}
    elif layer.kind == "CONCATENATION":
        if any(shape[:-1] != x[:-1] for shape in shapes):
            raise UsageError(f"inputs differ in more than their channels: {', '.join(map(_dims, shapes))}")
        output = (*x[:-1], sum(shape[-1] for shape in shapes))
        attributes = {"axis": len(x) - 1, "activation": "NONE"}
    elif layer.kind == "RESHAPE":
        output = (1, prod(x))
        attributes, constants = {"new_shape": output}, (_integers("shape", output),)
    elif layer.kind == "SOFTMAX":
        output, attributes = x, {"beta": 1.0}
    else:
        raise UsageError("there is no such layer")
    if not all(0 < size <= MAX_SIZE for size in output):
        raise UsageError(f"makes {_dims(output)} of {_dims(x)}")
    result = Tensor(layer.kind.lower(), output, DType.INT8, _affine(1))
    stored = sum(tensor.nbytes for tensor in constants)
    stored += sum(map(_quantization_bytes, (*constants, result)))
    return Block(layer.kind, attributes, constants, result, stored + TABLE_BYTES * (len(constants) + 2))


def _window_attributes(layer: Layer) -> dict[str, Attribute]:
    return {
        "stride_h": layer.stride[0],
        "stride_w": layer.stride[1],
        "dilation_h": 1,
        "dilation_w": 1,
        "padding": layer.padding,
        "activation": layer.activation,
    }


def _weights(shape: Shape, axis: int, outputs: int, *, per_channel: bool = True) -> tuple[Tensor, Tensor]:
    """Weights and bias as converters quantize them; their content is not there."""
    scales = _affine(outputs if per_channel else 1)
    absent = memoryview(b"")
    weights = Tensor("weights", shape, DType.INT8, Quantization(scales.scale, scales.zero_point, axis), absent)
    return weights, Tensor("bias", (outputs,), DType.INT32, scales, absent)


def _integers(name: str, values: tuple[int, ...]) -> Tensor:
    data = b"".join(value.to_bytes(4, "little") for value in values)
    return Tensor(name, (len(values),), DType.INT32, None, memoryview(data))


def _image(shape: Shape) -> tuple[int, int, int]:
    if len(shape) != 4:
        raise UsageError(f"needs rows, columns and channels, not {_dims(shape)}")
    return shape[1], shape[2], shape[3]


def _positive(channels: int) -> int:
    if not 0 < channels <= MAX_SIZE:
        raise UsageError(f"{channels} output channels")
    return channels


def _dims(shape: Shape) -> str:
    return "x".join(map(str, shape))
