"""From a graph to the operations of an Ethos-U: what runs on the NPU in which form, and what is left to the host.

`SUPPORTED` and the conditions in `refusal` are Arm's (SUPPORTED_OPS.md of ethos-u-vela 5.2); the forms are those that
its compiler gives the operators. An operator that the NPU can run and that has no form here raises `Unmodelled`: then
there is no estimate, rather than one that leaves it out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from mcuprof.cost.npu.work import Buffer, Engine, Kernel, Link, Lowered, Map, Shape, Weights, Work, three
from mcuprof.graph import ABSENT, DType, Graph, Op, Tensor

_BOTH = (
    "ABS ADD ARG_MAX AVERAGE_POOL_2D BATCH_MATMUL CONCATENATION CONV_2D DEPTHWISE_CONV_2D ELU EXP EXPAND_DIMS "
    "FULLY_CONNECTED GELU HARD_SWISH LEAKY_RELU LOG LOGISTIC MAXIMUM MAX_POOL_2D MEAN MINIMUM MIRROR_PAD MUL NEG PACK PAD "
    "PADV2 PRELU QUANTIZE REDUCE_MAX REDUCE_MIN RELU RELU6 RELU_0_TO_1 RELU_N1_TO_1 RESHAPE RESIZE_BILINEAR "
    "RESIZE_NEAREST_NEIGHBOR REVERSE_V2 RSQRT SLICE SOFTMAX SPLIT SPLIT_V SQUARED_DIFFERENCE SQUEEZE STRIDED_SLICE SUB SUM "
    "TANH TILE TRANSPOSE TRANSPOSE_CONV UNIDIRECTIONAL_SEQUENCE_LSTM UNPACK"
).split()
_U85_TOO = (
    "ASSIGN_VARIABLE CAST DIV EQUAL GATHER GREATER GREATER_EQUAL LESS LESS_EQUAL LOGICAL_AND LOGICAL_NOT LOGICAL_OR "
    "NOT_EQUAL READ_VARIABLE REDUCE_ALL REDUCE_ANY SCATTER_ND SELECT SELECT_V2"
).split()
_VIEWS = frozenset({"RESHAPE", "SQUEEZE", "EXPAND_DIMS"})
_TABLES = frozenset({"LOGISTIC", "TANH", "HARD_SWISH", "LEAKY_RELU", "ELU", "GELU", "EXP", "LOG", "RSQRT"})
_CLAMPS = frozenset({"RELU", "RELU6", "RELU_0_TO_1", "RELU_N1_TO_1"})
_BINARY = frozenset({"ADD", "SUB", "MUL", "MINIMUM", "MAXIMUM"})
_NO_CLAMP = frozenset({"", "NONE"})
_MAP_TYPES = frozenset({DType.INT8, DType.UINT8, DType.INT16, DType.INT32})


class Unmodelled(ValueError):
    """An operator that the NPU runs in a way that is not modelled here; the message is the reason."""


def supported(kind: str, u85: bool) -> bool:
    """Does Arm's list name this operator for that generation?"""
    return kind in _BOTH or (u85 and kind in _U85_TOO)


def refusal(graph: Graph, op: Op, u85: bool) -> str | None:
    """Why this operator stays on the host; None where the NPU takes it."""
    if not supported(op.kind, u85):
        return f"the NPU has no {op.kind}"
    for index in (*op.inputs[:1], *op.outputs):
        tensor = graph.tensors[index] if index != ABSENT else None
        if tensor is None or (tensor.dtype not in _MAP_TYPES and op.kind not in _VIEWS):
            return f"{tensor.dtype.value if tensor else 'no'} feature maps"
        if tensor.quantization is None and op.kind not in {*_VIEWS, "PAD", "PADV2", "MIRROR_PAD", "TRANSPOSE", "QUANTIZE"}:
            return "a feature map without quantization"
        if tensor.dtype is DType.INT32 and op.kind not in {"ADD", "SUB", "MUL", *_VIEWS}:
            return "32-bit feature maps"
    return _window_refusal(graph, op)


def _window_refusal(graph: Graph, op: Op) -> str | None:
    if op.kind in {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"}:
        weights = graph.tensor(op, 1)
        if weights is None or weights.data is None:
            return "weights that are computed" if op.kind != "FULLY_CONNECTED" else None
        if weights.dtype.bits != 8 or not weights.dtype.is_integer:
            return f"{weights.dtype.value} weights"
        bias = graph.tensor(op, 2)
        if bias is not None and (not bias.is_constant or bias.dtype not in {DType.INT32, DType.INT64}):
            return "a bias that is computed or of another type than int32, int64"
    stride = max(op.integer("stride_h", 1), op.integer("stride_w", 1))
    if op.kind == "DEPTHWISE_CONV_2D" and stride > 3:
        return "a stride above 3"
    if op.kind in {"CONV_2D", "AVERAGE_POOL_2D", "MAX_POOL_2D"} and stride > 3 and op.text("padding") != "VALID":
        return "a stride above 3 with padding"
    if op.kind == "AVERAGE_POOL_2D" and op.text("padding") != "VALID" and max(op.integer("filter_h"), op.integer("filter_w")) > 8:
        return "a padded pool larger than 8"
    return None


def lower(graph: Graph, u85: bool) -> Lowered:
    """The operations that `graph` becomes. Raises Unmodelled, and LookupError or ValueError for operands out of shape."""
    return _Lowering(graph, u85).run()


class _Lowering:
    def __init__(self, graph: Graph, u85: bool) -> None:
        self.graph, self.u85 = graph, u85
        self.buffers: list[Buffer] = []
        self.works: list[Work] = []
        self.fallen: dict[int, str] = {}
        # Tensor → its buffer and the part of it that the tensor is (offsets do not matter, shapes do).
        self.place: dict[int, int] = {}
        self.slices: dict[int, Shape] = {}
        self.padded: set[int] = set()
        self.direct: dict[int, tuple[int, Shape]] = {}

    def run(self) -> Lowered:
        for index, op in enumerate(self.graph.ops):
            reason = refusal(self.graph, op, self.u85)
            if reason is not None:
                self.fallen[index] = reason
        self._plan_concatenations()
        for index in _order(self.graph):
            op = self.graph.ops[index]
            if index in self.fallen:
                self._host(index, op)
            else:
                self._one(index, op)
        flat = _flattened(self.works)
        works = tuple(_chained(flat, self.buffers) if self.u85 else flat)
        _formats(works, self.buffers)
        return Lowered(works, tuple(self.buffers), self.fallen)

    # Buffers and maps

    def _buffer(self, index: int) -> int:
        """The buffer of a tensor, made when it is first asked for."""
        if index not in self.place:
            tensor = self.graph.tensors[index]
            host = index in self.graph.inputs or index in self.graph.outputs
            constant = tensor.is_constant
            self.place[index] = self._new(three(tensor.shape), max(8, tensor.dtype.bits), host, constant)
            self.buffers[self.place[index]].persistent = tensor.variable
        return self.place[index]

    def _new(self, shape: Shape, bits: int, host: bool = False, constant: bool = False) -> int:
        self.buffers.append(Buffer(shape, bits, linear=host or constant, host=host, constant=constant))
        return len(self.buffers) - 1

    def _map(self, index: int, shape: Shape | None = None) -> Map:
        tensor = self.graph.tensors[index]
        own = shape or three(tensor.shape)
        return Map(self._buffer(index), own, max(8, tensor.dtype.bits), self.slices.get(index, own))

    def _temporary(self, shape: Shape, bits: int) -> Map:
        return Map(self._new(shape, bits), shape, bits, shape)

    def _constant(self, shape: Shape, bits: int) -> Map:
        return Map(self._new(shape, bits, constant=True), shape, bits, shape)

    def _readers(self, index: int) -> int:
        return len(self.graph.consumers.get(index, ())) + (index in self.graph.outputs)

    # Operators

    def _one(self, index: int, op: Op) -> None:
        kind = op.kind
        handler: Callable[[int, Op], None] | None = None
        if kind in _VIEWS:
            handler = self._view
        elif kind in {"CONV_2D", "DEPTHWISE_CONV_2D"}:
            handler = self._convolution
        elif kind in _BINARY:
            handler = self._binary
        elif kind in _TABLES or kind in _CLAMPS:
            handler = self._activation
        else:
            handler = {
                "FULLY_CONNECTED": self._dense,
                "AVERAGE_POOL_2D": self._pool,
                "MAX_POOL_2D": self._pool,
                "QUANTIZE": self._copying,
                "SOFTMAX": self._softmax,
                "MEAN": self._mean,
                "PAD": self._pad,
                "CONCATENATION": self._concatenation,
                "STRIDED_SLICE": self._slice,
                "SLICE": self._slice,
                "SPLIT": self._slice,
                "SPLIT_V": self._slice,
                "RESIZE_NEAREST_NEIGHBOR": self._enlarge,
                "TRANSPOSE": self._transpose,
            }.get(kind)
        if handler is None:
            raise Unmodelled(f"how the NPU runs {kind} is not modelled")
        handler(index, op)

    def _host(self, index: int, op: Op) -> None:
        # State that only the host knows is not in the NPU's memory.
        inputs = tuple(
            self._map(each)
            for each in op.inputs
            if each != ABSENT and not self.graph.tensors[each].is_constant and not self.graph.tensors[each].variable
        )
        outputs = [self._map(each) for each in op.outputs if each != ABSENT]
        for each in (*inputs, *outputs):
            self.buffers[each.buffer].host = self.buffers[each.buffer].linear = True
        nothing = Shape(1, 1, 1)
        first = outputs[0] if outputs else Map(self._new(nothing, 8), nothing, 8, nothing)
        self.works.append(Work(index, "cpu", op.kind, inputs, first))

    def _emit(
        self,
        index: int,
        engine: Engine,
        name: str,
        inputs: tuple[Map, ...],
        output: Map,
        kernel: Kernel | None = None,
        weights: Weights | None = None,
        clamp: bool = False,
        table: bool = False,
        scaled: bool = True,
        up: int = 1,
    ) -> None:
        work = Work(index, engine, name, inputs, output, kernel or Kernel(), weights, table, clamp, scaled, up)
        self.works.append(work)

    def _view(self, index: int, op: Op) -> None:
        source, target = op.inputs[0], op.outputs[0]
        if self.graph.tensors[source].is_constant:
            self._buffer(target)
            return
        at = self._buffer(source)
        self.place[target] = at
        if target in self.graph.outputs:
            self.buffers[at].host = self.buffers[at].linear = True
        if source in self.direct:
            self.direct[target] = self.direct[source]

    def _fused(self, op: Op) -> bool:
        return op.text("activation", "NONE").upper() not in _NO_CLAMP

    def _output(self, op: Op, shape: Shape | None = None) -> Map:
        """The map of the first output: in the buffer of a concatenation where that is its only reader."""
        index = op.outputs[0]
        if index in self.direct:
            joined, whole = self.direct[index]
            self.place[index] = self._buffer(joined)
            own = shape or three(self.graph.tensors[index].shape)
            return Map(self.place[index], own, max(8, self.graph.tensors[index].dtype.bits), whole)
        return self._map(index, shape)

    def _convolution(self, index: int, op: Op) -> None:
        from mcuprof.ops.geometry import window

        g = window(self.graph, op)
        if g.batch != 1 or op.text("layout", "NHWC") != "NHWC":
            raise Unmodelled(f"{op.kind} of several images, or with channels first, is not modelled")
        kernel = Kernel(g.kernel_h, g.kernel_w, g.stride_h, g.stride_w, g.dilation_h, g.dilation_w)
        if max(g.dilation_h, g.dilation_w) > 2:
            raise Unmodelled("a dilation above 2 is not modelled")
        depthwise = op.kind == "DEPTHWISE_CONV_2D"
        if depthwise and g.in_c == 1 and g.out_c > 1:
            depthwise = False  # one input channel: the same sums as a full convolution
        elif depthwise and g.out_c != g.in_c:
            raise Unmodelled("a depthwise convolution with several outputs per channel is not modelled")
        elif not depthwise and op.kind == "CONV_2D" and g.groups != 1:
            raise Unmodelled("a grouped convolution is not modelled")
        values = _less_zero_point(self.graph.input(op, 1))
        # TFLite keeps a depthwise filter as [1, h, w, channels].
        values = values.transpose(3, 1, 2, 0) if op.kind == "DEPTHWISE_CONV_2D" else values
        weights = Weights(op.inputs[1], values)
        shape = Shape(g.in_h, g.in_w, g.in_c)
        if op.inputs[0] in self.padded:
            shape = self.buffers[self.place[op.inputs[0]]].shape
        source = self._map(op.inputs[0], shape)
        output = self._output(op, Shape(g.out_h, g.out_w, g.out_c))
        engine: Engine = "depthwise" if depthwise else "convolution"
        self._emit(index, engine, op.kind, (source,), output, kernel, weights, self._fused(op))

    def _dense(self, index: int, op: Op) -> None:
        weights = self.graph.input(op, 1)
        if weights.data is None:
            raise Unmodelled("FULLY_CONNECTED with computed weights is not modelled")
        units, depth = (weights.shape[0], weights.shape[-1]) if not op.attributes.get("transposed") else weights.shape[::-1]
        rows = self.graph.tensors[op.inputs[0]].elements // max(1, depth)
        values = _less_zero_point(weights)
        values = (values.T if op.attributes.get("transposed") else values).reshape(units, 1, 1, depth)
        source = self._map(op.inputs[0], Shape(rows, 1, depth))
        output = self._output(op, Shape(rows, 1, units))
        self._emit(index, "convolution", op.kind, (source,), output, None, Weights(op.inputs[1], values), self._fused(op))

    def _pool(self, index: int, op: Op) -> None:
        from mcuprof.ops.geometry import window

        g = window(self.graph, op)
        if g.batch != 1:
            raise Unmodelled("a pool of several images is not modelled")
        kernel = Kernel(g.kernel_h, g.kernel_w, g.stride_h, g.stride_w)
        name = "MAX_POOL" if op.kind == "MAX_POOL_2D" else "AVERAGE_POOL"
        source = self._map(op.inputs[0], Shape(g.in_h, g.in_w, g.in_c))
        output = self._output(op, Shape(g.out_h, g.out_w, g.out_c))
        self._emit(index, "pool", name, (source,), output, kernel, clamp=self._fused(op))

    def _binary(self, index: int, op: Op) -> None:
        operands = tuple(self._operand(each) for each in op.inputs[:2])
        self._emit(index, "elementwise", op.kind, operands, self._output(op), clamp=self._fused(op))

    def _operand(self, index: int) -> Map:
        tensor = self.graph.tensors[index]
        if len(tensor.shape) == 4 and tensor.shape[0] != 1:
            raise Unmodelled("element-wise operators on several images are not modelled")
        return self._map(index)

    def _activation(self, index: int, op: Op) -> None:
        source, table = op.inputs[0], op.kind in _TABLES
        before = self.works[-1] if self.works else None
        plain = before is not None and not before.table and not before.clamp and before.engine != "cpu"
        follows = before is not None and before.output.buffer == self.place.get(source) and before.source != -1
        if before is not None and plain and follows and self._readers(source) == 1 and before.output.bits <= 16:
            output = self._output(op, before.output.shape)
            self.works[-1] = replace(before, output=output, table=table, clamp=not table)
            return
        name = "TABLE" if table else op.kind
        self._emit(index, "pool", name, (self._map(source),), self._output(op), table=table)

    def _copying(self, index: int, op: Op) -> None:
        self._emit(index, "pool", op.kind, (self._map(op.inputs[0]),), self._output(op))

    def _mean(self, index: int, op: Op) -> None:
        x = self.graph.input(op, 0)
        axes = self.graph.tensor(op, 1)
        if axes is None or axes.data is None or len(x.shape) != 4 or x.shape[0] != 1:
            raise Unmodelled("MEAN of this shape is not modelled")
        reduced = {int(axis) % 4 for axis in np.ravel(axes.array())}
        if reduced - {0} != {1, 2}:
            raise Unmodelled("MEAN over other axes than height and width is not modelled")
        h, w, c = x.shape[1:]
        if h > 64 or w > 64 or h * w > 4096:
            raise Unmodelled("MEAN over more than 64 · 64 is not modelled")
        sums = self._temporary(Shape(1, 1, c), 32)
        ones = Weights(-1 - index, np.ones((c, h, w, 1), np.int16))
        source = self._map(op.inputs[0])
        self._emit(index, "depthwise", "MEAN", (source,), sums, Kernel(h, w), ones)
        out = self._output(op, Shape(1, 1, c))
        self._emit(index, "elementwise", "MUL", (sums, self._constant(Shape(1, 1, 1), 32)), out)

    def _softmax(self, index: int, op: Op) -> None:
        """Exponentials by table, their sum, and its reciprocal by three Newton-Raphson steps (Vela, softmax.cpp)."""
        x = self.graph.input(op, 0)
        if x.dtype not in {DType.INT8, DType.UINT8}:
            raise Unmodelled("SOFTMAX of 16 bits is not modelled")
        source, output = self._map(op.inputs[0]), self._output(op)
        h, w, c = source.shape
        whole, one = source.shape, Shape(h, w, 1)

        def unary(name: str, x: Map, shape: Shape = one, engine: Engine = "elementwise") -> Map:
            made = self._temporary(shape, 32)
            self._emit(index, engine, name, (x,), made)
            return made

        def binary(name: str, left: Map, right: Map, shape: Shape = one, out: Map | None = None) -> Map:
            made = out or self._temporary(shape, 32)
            self._emit(index, "elementwise", name, (left, right), made)
            return made

        def number() -> Map:
            return self._constant(Shape(1, 1, 1), 32)

        rows = Map(source.buffer, Shape(h * w, c, 1), source.bits, Shape(h * w, c, 1))
        largest = self._temporary(Shape(h * w, 1, 1), source.bits)
        self._emit(index, "pool", "MAX_POOL", (rows,), largest, Kernel(1, c))
        peak = Map(largest.buffer, one, source.bits, one)
        powers = self._temporary(whole, 32)
        self._emit(index, "elementwise", "SUB", (source, peak), powers, table=True)
        total = unary("REDUCE_SUM", binary("ASR", powers, number(), whole), engine="reduce")
        zeros = unary("CLZ", total)
        reach = binary("SUB", number(), zeros)
        shift = binary("SUB", zeros, number())
        scaled = binary("SHL", total, shift)
        guess = binary("ADD", binary("MUL", scaled, number()), number())
        for _ in range(3):
            wrong = binary("SUB", number(), binary("MUL", guess, scaled))
            guess = binary("ADD", guess, binary("MUL", binary("MUL", guess, wrong), number()))
        product = binary("MUL", powers, guess, whole)
        exponent = binary("ADD", self._constant(whole, 32), Map(reach.buffer, one, 32, one), whole)
        binary("ASR", product, exponent, whole, output)

    def _pad(self, index: int, op: Op) -> None:
        """Part of the window that follows where that can pad by itself, else copies: the content and each edge."""
        source, target = op.inputs[0], op.outputs[0]
        amounts = self.graph.tensor(op, 1)
        x = self.graph.tensors[source]
        if amounts is None or amounts.data is None or len(x.shape) != 4:
            raise Unmodelled("PAD of this shape is not modelled")
        pads = amounts.array().reshape(-1, 2)
        users = [self.graph.ops[user] for user in self.graph.consumers.get(target, ())]
        spatial = not pads[0].any() and not pads[3].any()
        if spatial and users and target not in self.graph.outputs and all(self._absorbs(user, pads) for user in users):
            self.place[target] = self._buffer(source)
            self.padded.add(target)
            return
        whole = three(self.graph.tensors[target].shape)
        self._emit(index, "pool", "COPY", (self._map(source),), replace_shape(self._map(target), three(x.shape)))
        for axis, edge in ((1, (0, 1)), (2, (0, 1)), (3, (0, 1))):
            for side in edge:
                if (size := int(pads[axis][side])) > 0:
                    part = Shape(*(size if at == axis - 1 else extent for at, extent in enumerate(whole)))
                    self._emit(index, "pool", "COPY", (self._constant(part, 8),), replace_shape(self._map(target), part))

    def _absorbs(self, user: Op, pads: np.ndarray) -> bool:
        if user.kind not in {"CONV_2D", "DEPTHWISE_CONV_2D"} or user.text("padding") != "VALID":
            return False
        kernel = self.graph.input(user, 1).shape[1:3]
        return all(int(pads[axis + 1].max()) < kernel[axis] for axis in (0, 1))

    def _concatenation(self, index: int, op: Op) -> None:
        target = op.outputs[0]
        whole = three(self.graph.tensors[target].shape)
        for each in op.inputs:
            if each == ABSENT or each in self.direct:
                continue
            part = three(self.graph.tensors[each].shape)
            bits = max(8, self.graph.tensors[each].dtype.bits)
            self._emit(index, "pool", "COPY", (self._map(each),), Map(self._buffer(target), part, bits, whole))

    def _plan_concatenations(self) -> None:
        """Whose only reader is a concatenation is written into its place at once, unless the host writes it."""
        for index, op in enumerate(self.graph.ops):
            if op.kind != "CONCATENATION" or index in self.fallen:
                continue
            target = op.outputs[0]
            whole = three(self.graph.tensors[target].shape)
            odd = any(self.graph.tensors[each].shape[-1] % 16 for each in op.inputs if each != ABSENT)
            along_depth = op.integer("axis", -1) % len(self.graph.tensors[target].shape) == len(self.graph.tensors[target].shape) - 1
            if odd and along_depth:
                self.buffers[self._buffer(target)].linear = True
            for each in op.inputs:
                writer = self.graph.producer.get(each)
                same = self.graph.tensors[each].quantization == self.graph.tensors[target].quantization
                if writer is None or writer in self.fallen or self._readers(each) != 1 or not same:
                    continue
                if self.graph.ops[writer].kind in {*_VIEWS, "SPLIT", "SPLIT_V", "CONCATENATION", "STRIDED_SLICE", "SLICE"}:
                    continue
                self.direct[each] = (target, whole)

    def _slice(self, index: int, op: Op) -> None:
        """Whoever reads the parts reads them out of the whole."""
        source = op.inputs[1] if op.kind == "SPLIT" else op.inputs[0]
        if any(step not in (1,) for step in op.integers("strides", ())):
            raise Unmodelled(f"{op.kind} with steps is not modelled")
        at, whole = self._buffer(source), three(self.graph.tensors[source].shape)
        for target in op.outputs:
            if target in self.graph.outputs or three(self.graph.tensors[target].shape).elements == 0:
                part = replace_shape(self._map(source), three(self.graph.tensors[target].shape))
                self._emit(index, "pool", "COPY", (part,), self._map(target))
                continue
            self.place[target], self.slices[target] = at, whole
            if three(self.graph.tensors[target].shape).c % 16:
                self.buffers[at].linear = True

    def _transpose(self, index: int, op: Op) -> None:
        """The U85 permutes while it copies; the others swap two neighbouring axes at a time."""
        order, x = self.graph.tensor(op, 1), self.graph.input(op, 0)
        if order is None or order.data is None or len(x.shape) > 4 or (len(x.shape) == 4 and x.shape[0] != 1):
            raise Unmodelled("TRANSPOSE of this shape is not modelled")
        axes = [int(axis) for axis in np.ravel(order.array())]
        swaps = sum(a > b for position, a in enumerate(axes) for b in axes[position + 1 :])
        source, output = self._map(op.inputs[0]), self._output(op)
        if self.u85:
            self._emit(index, "pool", "TRANSPOSE", (source,), output)
            return
        for left in range(max(1, swaps), 0, -1):
            target = output if left == 1 else self._temporary(output.shape, output.bits)
            self._emit(index, "dma", "TRANSPOSE", (source,), target)
            source = target

    def _enlarge(self, index: int, op: Op) -> None:
        source, output = self._map(op.inputs[0]), self._output(op)
        twice = output.shape.h == 2 * source.shape.h and output.shape.w == 2 * source.shape.w
        if not twice:
            raise Unmodelled("enlarging by another factor than 2 is not modelled")
        engine: Engine = "resize" if self.u85 else "pool"
        self._emit(index, engine, "RESIZE", (source,), output, up=2)


def _order(graph: Graph) -> list[int]:
    """The compiler's order: depth first from the outputs, the last operand's branch first (Vela, graph.hpp)."""
    state = any(tensor.variable for tensor in graph.tensors)
    stack = [(graph.producer[index], False) for index in graph.outputs if index in graph.producer]
    seen: set[int] = set()
    found: list[int] = []
    while stack:
        index, done = stack.pop()
        if done:
            found.append(index)
        elif index not in seen:
            seen.add(index)
            stack.append((index, True))
            writers = (graph.producer[each] for each in graph.ops[index].inputs if each in graph.producer)
            stack += [(writer, False) for writer in writers if writer not in seen]
    return list(range(len(graph.ops))) if state else found


def _deeper(shape: Shape) -> Shape:
    """A flat map seen as one of 16 channels or a few more, as element-wise operations are (Vela, shape_util.hpp)."""
    if shape.c >= 8 or shape.elements <= 16:
        return shape
    rest, factors, divisor = shape.elements, list[int](), 2
    while rest > 1:
        while rest % divisor == 0:
            factors.append(divisor)
            rest //= divisor
        divisor += 1
    depth = h = w = 1
    for factor in factors:
        if depth < 16:
            depth *= factor
        elif w < h:
            w *= factor
        else:
            h *= factor
    return Shape(max(h, w), min(h, w), depth)


def _flattened(works: list[Work]) -> list[Work]:
    """Element-wise operations and copies without repetition do not care for shapes: they get deeper ones."""
    found = []
    for work in works:
        flat = work.engine == "elementwise" or (work.engine == "pool" and work.kernel.taps == 1 and work.up == 1)
        maps = (*work.inputs, work.output)
        alike = all(each.scalar or each.shape == work.output.shape for each in work.inputs)
        whole = all(each.of == each.shape for each in maps)
        if not (flat and alike and whole) or _deeper(work.output.shape) == work.output.shape:
            found.append(work)
            continue
        deeper = [each if each.scalar else Map(each.buffer, _deeper(each.shape), each.bits, _deeper(each.shape)) for each in maps]
        found.append(replace(work, inputs=tuple(deeper[:-1]), output=deeper[-1]))
    return found


def replace_shape(each: Map, shape: Shape) -> Map:
    """The part of that shape of a map."""
    return Map(each.buffer, shape, each.bits, each.of)


def _less_zero_point(tensor: Tensor) -> np.ndarray:
    values = tensor.array().astype(np.int16)
    zero = tensor.quantization.zero_point if tensor.quantization else ()
    return values - np.int16(zero[0]) if zero and zero[0] else values


def _chained(works: list[Work], buffers: list[Buffer]) -> list[Work]:
    """U85: an element-wise operation is chained to the one before it when it alone reads what that one writes."""
    readers: dict[int, int] = {}
    for work in works:
        for each in work.inputs:
            readers[each.buffer] = readers.get(each.buffer, 0) + 1
    found: list[Work] = []
    for work in works:
        before = found[-1] if found else None
        link = _link(before, work, readers, buffers) if before is not None else None
        if before is None or link is None:
            found.append(work)
            continue
        own = before.bits_before_links if before.links else before.output.bits
        found[-1] = replace(before, output=work.output, own_bits=own, links=(*before.links, link))
    return found


def _link(before: Work, work: Work, readers: dict[int, int], buffers: list[Buffer]) -> Link | None:
    if work.engine != "elementwise" or before.engine in {"cpu", "resize", "dma", "reduce"} or work.table:
        return None
    if before.engine == "pool" and before.name != "COPY" and before.kernel.taps > 1:
        return None
    passed = before.output
    if readers.get(passed.buffer) != 1 or buffers[passed.buffer].host or passed.of != passed.shape or before.table:
        return None
    mine = [position for position, each in enumerate(work.inputs) if each.buffer == passed.buffer]
    if len(mine) != 1 or work.inputs[mine[0]].shape != work.output.shape or passed.shape != work.output.shape:
        return None
    rest = [each for position, each in enumerate(work.inputs) if position != mine[0]]
    if len(before.links) >= 3 or sum(link.extra is not None for link in before.links) + len(rest) > 2:
        return None
    if rest and rest[0].shape != work.output.shape and not rest[0].scalar:
        return None
    return Link(work.name, rest[0] if rest else None, work.inputs[mine[0]].bits, work.output.bits)


def _formats(works: tuple[Work, ...], buffers: list[Buffer]) -> None:
    """Bricks of 16 channels need readers and writers that agree on width and depth; sums of 32 bits read rows."""
    seen: dict[int, set[tuple[int, int]]] = {}
    for work in works:
        for each in (*work.inputs, work.output, *(link.extra for link in work.links if link.extra is not None)):
            seen.setdefault(each.buffer, set()).add((each.of.w, each.of.c))
        if work.engine == "reduce" and work.inputs[0].bits == 32:
            buffers[work.inputs[0].buffer].linear = True
    for index, shapes in seen.items():
        if len(shapes) > 1:
            buffers[index].linear = True
