"""From a graph to the operations of an Ethos-U: what runs on the NPU in which form, and what is left to the host.

The forms are those that Arm's compiler gives the operators (Vela 5.2, Apache-2.0, regor/compiler). An operator that the
NPU can run and that has no form here raises `Unmodelled`: then there is no estimate, rather than one without it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from mcuprof.costs.npu.passes import chained, flattened, formats, order
from mcuprof.costs.npu.sheet import Sheet, Unmodelled, replace_shape
from mcuprof.costs.npu.softmax import softmax
from mcuprof.costs.npu.support import VIEWS, refusal
from mcuprof.costs.npu.work import Engine, Kernel, Lowered, Map, Shape, Weights, Work, three
from mcuprof.graph import ABSENT, Graph, Op, Tensor

_TABLES = frozenset({"LOGISTIC", "TANH", "HARD_SWISH", "LEAKY_RELU", "ELU", "GELU", "EXP", "LOG", "RSQRT"})
_CLAMPS = frozenset({"RELU", "RELU6", "RELU_0_TO_1", "RELU_N1_TO_1"})
_BINARY = frozenset({"ADD", "SUB", "MUL", "MINIMUM", "MAXIMUM"})
_NO_CLAMP = frozenset({"", "NONE"})


def lower(graph: Graph, u85: bool) -> Lowered:
    """The operations of `graph`. Raises Unmodelled, and LookupError or ValueError for operands out of shape."""
    return _Lowering(graph, u85).run()


class _Lowering(Sheet):
    def run(self) -> Lowered:
        for index, op in enumerate(self.graph.ops):
            reason = refusal(self.graph, op, self.u85)
            if reason is not None:
                self.fallen[index] = reason
        self._plan_concatenations()
        for index in order(self.graph):
            op = self.graph.ops[index]
            if index in self.fallen:
                self._host(index, op)
            else:
                self._one(index, op)
        flat = flattened(self.works)
        works = tuple(chained(flat, self.buffers) if self.u85 else flat)
        formats(works, self.buffers)
        return Lowered(works, tuple(self.buffers), self.fallen)

    # Operators

    def _one(self, index: int, op: Op) -> None:
        kind = op.kind
        handler: Callable[[int, Op], None] | None = None
        if kind in VIEWS:
            handler = self._view
        elif kind in {"CONV_2D", "DEPTHWISE_CONV_2D"}:
            handler = self._convolution
        elif kind in _BINARY:
            handler = self._binary
        elif kind in _TABLES or kind in _CLAMPS:
            handler = self._activation
        else:
            others: dict[str, Callable[[int, Op], None]] = {
                "FULLY_CONNECTED": self._dense,
                "AVERAGE_POOL_2D": self._pool,
                "MAX_POOL_2D": self._pool,
                "QUANTIZE": self._copying,
                "SOFTMAX": partial(softmax, self),
                "MEAN": self._mean,
                "PAD": self._pad,
                "CONCATENATION": self._concatenation,
                "STRIDED_SLICE": self._slice,
                "SLICE": self._slice,
                "SPLIT": self._slice,
                "SPLIT_V": self._slice,
                "RESIZE_NEAREST_NEIGHBOR": self._enlarge,
                "TRANSPOSE": self._transpose,
            }
            handler = others.get(kind)
        if handler is None:
            raise Unmodelled(f"how the NPU runs {kind} is not modelled")
        handler(index, op)

    def _host(self, index: int, op: Op) -> None:
        # State that only the host knows is not in the NPU's memory.
        inputs = tuple(
            self.map(each)
            for each in op.inputs
            if each != ABSENT and not self.graph.tensors[each].is_constant and not self.graph.tensors[each].variable
        )
        outputs = [self.map(each) for each in op.outputs if each != ABSENT]
        for each in (*inputs, *outputs):
            self.buffers[each.buffer].host = self.buffers[each.buffer].linear = True
        nothing = Shape(1, 1, 1)
        first = outputs[0] if outputs else Map(self.new(nothing, 8), nothing, 8, nothing)
        self.works.append(Work(index, "cpu", op.kind, inputs, first))

    def _view(self, index: int, op: Op) -> None:
        source, target = op.inputs[0], op.outputs[0]
        if self.graph.tensors[source].is_constant:
            self.buffer(target)
            return
        at = self.buffer(source)
        self.place[target] = at
        if target in self.graph.outputs:
            self.buffers[at].host = self.buffers[at].linear = True
        if source in self.direct:
            self.direct[target] = self.direct[source]

    def _fused(self, op: Op) -> bool:
        return op.text("activation", "NONE").upper() not in _NO_CLAMP

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
        source = self.map(op.inputs[0], shape)
        output = self.output(op, Shape(g.out_h, g.out_w, g.out_c))
        engine: Engine = "depthwise" if depthwise else "convolution"
        self.emit(index, engine, op.kind, (source,), output, kernel, weights, self._fused(op))

    def _dense(self, index: int, op: Op) -> None:
        weights = self.graph.input(op, 1)
        if weights.data is None:
            raise Unmodelled("FULLY_CONNECTED with computed weights is not modelled")
        units, depth = (
            (weights.shape[0], weights.shape[-1]) if not op.attributes.get("transposed") else weights.shape[::-1]
        )
        rows = self.graph.tensors[op.inputs[0]].elements // max(1, depth)
        values = _less_zero_point(weights)
        values = (values.T if op.attributes.get("transposed") else values).reshape(units, 1, 1, depth)
        source = self.map(op.inputs[0], Shape(rows, 1, depth))
        output = self.output(op, Shape(rows, 1, units))
        self.emit(
            index, "convolution", op.kind, (source,), output, None, Weights(op.inputs[1], values), self._fused(op)
        )

    def _pool(self, index: int, op: Op) -> None:
        from mcuprof.ops.geometry import window

        g = window(self.graph, op)
        if g.batch != 1:
            raise Unmodelled("a pool of several images is not modelled")
        kernel = Kernel(g.kernel_h, g.kernel_w, g.stride_h, g.stride_w)
        name = "MAX_POOL" if op.kind == "MAX_POOL_2D" else "AVERAGE_POOL"
        source = self.map(op.inputs[0], Shape(g.in_h, g.in_w, g.in_c))
        output = self.output(op, Shape(g.out_h, g.out_w, g.out_c))
        self.emit(index, "pool", name, (source,), output, kernel, clamp=self._fused(op))

    def _binary(self, index: int, op: Op) -> None:
        operands = tuple(self._operand(each) for each in op.inputs[:2])
        self.emit(index, "elementwise", op.kind, operands, self.output(op), clamp=self._fused(op))

    def _operand(self, index: int) -> Map:
        tensor = self.graph.tensors[index]
        if len(tensor.shape) == 4 and tensor.shape[0] != 1:
            raise Unmodelled("element-wise operators on several images are not modelled")
        return self.map(index)

    def _activation(self, index: int, op: Op) -> None:
        source, table = op.inputs[0], op.kind in _TABLES
        before = self.works[-1] if self.works else None
        plain = before is not None and not before.table and not before.clamp and before.engine != "cpu"
        follows = before is not None and before.output.buffer == self.place.get(source) and before.source != -1
        if before is not None and plain and follows and self.readers(source) == 1 and before.output.bits <= 16:
            output = self.output(op, before.output.shape)
            self.works[-1] = replace(before, output=output, table=table, clamp=not table)
            return
        name = "TABLE" if table else op.kind
        self.emit(index, "pool", name, (self.map(source),), self.output(op), table=table)

    def _copying(self, index: int, op: Op) -> None:
        self.emit(index, "pool", op.kind, (self.map(op.inputs[0]),), self.output(op))

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
        sums = self.temporary(Shape(1, 1, c), 32)
        ones = Weights(-1 - index, np.ones((c, h, w, 1), np.int16))
        source = self.map(op.inputs[0])
        self.emit(index, "depthwise", "MEAN", (source,), sums, Kernel(h, w), ones)
        out = self.output(op, Shape(1, 1, c))
        self.emit(index, "elementwise", "MUL", (sums, self.constant(Shape(1, 1, 1), 32)), out)

    def _pad(self, index: int, op: Op) -> None:
        """Part of the window that follows where that can pad by itself, else copies: the content and each edge."""
        source, target = op.inputs[0], op.outputs[0]
        amounts, x = self.graph.tensor(op, 1), self.graph.tensors[source]
        if amounts is None or amounts.data is None or len(x.shape) != 4:
            raise Unmodelled("PAD of this shape is not modelled")
        if self._absorbed(op):
            self.place[target] = self.buffer(source)
            self.padded.add(target)
            return
        pads, whole = amounts.array().reshape(-1, 2), three(self.graph.tensors[target].shape)
        if source not in self.direct:
            self.emit(index, "pool", "COPY", (self.map(source),), replace_shape(self.map(target), three(x.shape)))
        for axis in (1, 2, 3):
            for size in map(int, pads[axis]):
                if size > 0:
                    part = Shape(*(size if at == axis - 1 else extent for at, extent in enumerate(whole)))
                    self.emit(index, "pool", "COPY", (self.constant(part, 8),), replace_shape(self.map(target), part))

    def _absorbed(self, op: Op) -> bool:
        """Can the windows that read this PAD pad by themselves?"""
        amounts, target = self.graph.tensor(op, 1), op.outputs[0]
        if amounts is None or amounts.data is None or len(self.graph.tensors[op.inputs[0]].shape) != 4:
            return False
        pads = amounts.array().reshape(-1, 2)
        users = [self.graph.ops[user] for user in self.graph.consumers.get(target, ())]
        spatial = not pads[0].any() and not pads[3].any() and bool(users) and target not in self.graph.outputs
        return spatial and all(self._absorbs(user, pads) for user in users)

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
            self.emit(index, "pool", "COPY", (self.map(each),), Map(self.buffer(target), part, bits, whole))

    def _plan_concatenations(self) -> None:
        """Whose only reader is a concatenation is written into its place at once, unless the host writes it."""
        for index, op in enumerate(self.graph.ops):
            if op.kind == "PAD" and index not in self.fallen and not self._absorbed(op):
                self._write_directly(op.inputs[0], op.outputs[0])
            if op.kind != "CONCATENATION" or index in self.fallen:
                continue
            target = op.outputs[0]
            odd = any(self.graph.tensors[each].shape[-1] % 16 for each in op.inputs if each != ABSENT)
            along_depth = (
                op.integer("axis", -1) % len(self.graph.tensors[target].shape)
                == len(self.graph.tensors[target].shape) - 1
            )
            if odd and along_depth:
                self.buffers[self.buffer(target)].linear = True
            for each in op.inputs:
                if self.graph.tensors[each].quantization == self.graph.tensors[target].quantization:
                    self._write_directly(each, target)

    def _write_directly(self, part: int, target: int) -> None:
        """Lets the writer of `part` write into `target`, unless others read the part too or nobody writes it anew."""
        writer = self.graph.producer.get(part)
        if writer is None or writer in self.fallen or self.readers(part) != 1:
            return
        if self.graph.ops[writer].kind not in VIEWS | {"SPLIT", "SPLIT_V", "CONCATENATION", "STRIDED_SLICE", "SLICE"}:
            self.direct[part] = (target, three(self.graph.tensors[target].shape))

    def _slice(self, index: int, op: Op) -> None:
        """Whoever reads the parts reads them out of the whole."""
        source = op.inputs[1] if op.kind == "SPLIT" else op.inputs[0]
        if any(step not in (1,) for step in op.integers("strides", ())):
            raise Unmodelled(f"{op.kind} with steps is not modelled")
        at, whole = self.buffer(source), three(self.graph.tensors[source].shape)
        for target in op.outputs:
            if target in self.graph.outputs or three(self.graph.tensors[target].shape).elements == 0:
                part = replace_shape(self.map(source), three(self.graph.tensors[target].shape))
                self.emit(index, "pool", "COPY", (part,), self.map(target))
                continue
            self.place[target], self.slices[target] = at, whole
            if three(self.graph.tensors[target].shape).c % 16:
                self.buffers[at].linear = True

    def _transpose(self, index: int, op: Op) -> None:
        """The U85 permutes while it copies; the others swap two neighbouring axes at a time."""
        permutation, x = self.graph.tensor(op, 1), self.graph.input(op, 0)
        if (
            permutation is None
            or permutation.data is None
            or len(x.shape) > 4
            or (len(x.shape) == 4 and x.shape[0] != 1)
        ):
            raise Unmodelled("TRANSPOSE of this shape is not modelled")
        axes = [int(axis) for axis in np.ravel(permutation.array())]
        swaps = sum(a > b for position, a in enumerate(axes) for b in axes[position + 1 :])
        source, output = self.map(op.inputs[0]), self.output(op)
        if self.u85:
            self.emit(index, "pool", "TRANSPOSE", (source,), output)
            return
        for left in range(max(1, swaps), 0, -1):
            target = output if left == 1 else self.temporary(output.shape, output.bits)
            self.emit(index, "dma", "TRANSPOSE", (source,), target)
            source = target

    def _enlarge(self, index: int, op: Op) -> None:
        source, output = self.map(op.inputs[0]), self.output(op)
        twice = output.shape.h == 2 * source.shape.h and output.shape.w == 2 * source.shape.w
        if not twice:
            raise Unmodelled("enlarging by another factor than 2 is not modelled")
        engine: Engine = "resize" if self.u85 else "pool"
        self.emit(index, engine, "RESIZE", (source,), output, up=2)


def _less_zero_point(tensor: Tensor) -> np.ndarray:
    values = tensor.array().astype(np.int16)
    zero = tensor.quantization.zero_point if tensor.quantization else ()
    return values - np.int16(zero[0]) if zero and zero[0] else values
