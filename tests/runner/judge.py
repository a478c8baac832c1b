"""An independent judge of memory plans of whole TFLite networks: who reads which byte when, by plain loops.

It shares no code with `ops.traversal`, `ops.sharing` and the arena runner: the loop nests of TFLite's reference kernels
are walked literally, and a plan is replayed on an arena that holds names of bytes instead of values.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mcuprof.graph import ABSENT, Graph, Op
from mcuprof.runner.arena import Plan

Steps = npt.NDArray[np.int64]

# Kernels that for each output element in turn read the element of the same place (and, before it, at most earlier
# passes over the same row), then write.
ELEMENT_BY_ELEMENT = {
    *("ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE", "QUANTIZE", "DEQUANTIZE", "LOGISTIC", "TANH"),
    *("RELU", "RELU6", "LEAKY_RELU", "HARD_SWISH", "SOFTMAX"),
}
SAME_BYTES = {"RESHAPE", "SQUEEZE", "EXPAND_DIMS"}


class Judge:
    """Replays plans for one network. `broken_at` is the verdict."""

    def __init__(self, net: Graph) -> None:
        self.net = net
        sizes = [tensor.nbytes for tensor in net.tensors]
        starts = np.cumsum([0, *sizes])
        self.names = [np.arange(start, start + size) for start, size in zip(starts, sizes, strict=False)]
        self.steps: dict[tuple[int, int], Steps] = {}

    def broken_at(self, plan: Plan) -> int | None:
        """The first position of the order at which an operator reads a byte that is not the one its producer wrote.

        len(order) where the caller reads a wrong output; None when the plan is right.
        """
        net = self.net
        arena = np.full(plan.arena_bytes, -1, np.int64)
        names = {tensor: self.names[tensor] for tensor in net.inputs}
        for tensor in net.inputs:
            self.write(plan, arena, tensor, names[tensor])
        for position, index in enumerate(plan.order):
            op = net.ops[index]
            self.clobber(plan, arena, index)
            for tensor in op.inputs:
                if tensor != ABSENT and not self.holds(plan, arena, names, tensor):
                    return position
            if op.kind in SAME_BYTES and plan.offsets[op.inputs[0]] == plan.offsets[op.outputs[0]] is not None:
                names[op.outputs[0]] = names[op.inputs[0]]
                continue
            if self.overruns(plan, index):
                return position
            for tensor in op.outputs:
                names[tensor] = self.names[tensor]
                self.write(plan, arena, tensor, names[tensor])
            self.clobber(plan, arena, index)
        if not all(self.holds(plan, arena, names, tensor) for tensor in net.outputs):
            return len(plan.order)
        return None

    def write(self, plan: Plan, arena: Steps, tensor: int, names: Steps) -> None:
        offset = plan.offsets[tensor]
        if offset is not None:
            arena[offset : offset + len(names)] = names

    def clobber(self, plan: Plan, arena: Steps, index: int) -> None:
        for offset, size in plan.scratch[index]:
            arena[offset : offset + size] = -2

    def holds(self, plan: Plan, arena: Steps, names: dict[int, Steps], tensor: int) -> bool:
        if tensor in self.net.producer and tensor not in names:
            return False
        offset = plan.offsets[tensor]
        return offset is None or np.array_equal(arena[offset : offset + len(names[tensor])], names[tensor])

    def overruns(self, plan: Plan, index: int) -> bool:
        """True when the operator writes a byte of its inputs before the last time it reads it."""
        op = self.net.ops[index]
        for number, source in enumerate(op.inputs):
            start = plan.offsets[source] if source != ABSENT else None
            if start is None:
                continue
            for target in op.outputs:
                at = plan.offsets[target]
                if at is None:
                    continue
                read = self.last_reads(index, number)
                spec = self.net.tensors[target]
                written = np.arange(spec.nbytes) // (spec.nbytes // spec.elements)
                low, high = max(start, at), min(start + len(read), at + len(written))
                if low < high and (
                    len(op.outputs) > 1 or (written[low - at : high - at] < read[low - start : high - start]).any()
                ):
                    return True
        return False

    def last_reads(self, index: int, number: int) -> Steps:
        """Per byte of the input: the output element for which the kernel reads it last; cached."""
        if (index, number) not in self.steps:
            op = self.net.ops[index]
            source = self.net.input(op, number)
            steps = walk(self.net, op, number)
            self.steps[index, number] = np.repeat(steps.reshape(-1), source.nbytes // source.elements)
        return self.steps[index, number]


def walk(net: Graph, op: Op, number: int) -> Steps:
    """Per element of the input, in its shape."""
    source, target = net.input(op, number), net.output(op)
    last = np.full(source.shape, target.elements - 1, np.int64)  # unless told otherwise: all is read till the end
    if op.kind in ELEMENT_BY_ELEMENT and source.shape == target.shape:
        return np.arange(source.elements)
    if number == 0 and op.kind == "FULLY_CONNECTED":
        units = target.shape[-1]
        rows = last.reshape(target.elements // units, -1)
        for row in range(len(rows)):
            rows[row] = row * units + units - 1
    elif number == 0 and op.kind == "PAD":
        before = net.input(op, 1).array().reshape(-1, 2)[:, 0]
        for place in np.ndindex(source.shape):
            last[place] = np.ravel_multi_index(
                [int(p) + int(b) for p, b in zip(place, before, strict=True)], target.shape
            )
    elif number == 0 and op.kind in ("CONV_2D", "DEPTHWISE_CONV_2D", "AVERAGE_POOL_2D", "MAX_POOL_2D"):
        last[...] = -1  # what no window touches is never read
        windows(net, op, last)
    return last


def windows(net: Graph, op: Op, last: Steps) -> None:
    """The loops over output pixels and taps of `reference_integer_ops`; channels all at once."""
    batches, height, width, depth = last.shape
    _, out_height, out_width, out_depth = net.output(op).shape
    rows, columns = op.integer("filter_h"), op.integer("filter_w")
    if op.kind.endswith("CONV_2D"):
        _, rows, columns, _ = net.input(op, 1).shape
    dilation_h, dilation_w = op.integer("dilation_h", 1), op.integer("dilation_w", 1)
    stride_h, stride_w = op.integer("stride_h"), op.integer("stride_w")
    top = left = 0
    if op.text("padding") == "SAME":
        top = max(0, (out_height - 1) * stride_h + (rows - 1) * dilation_h + 1 - height) // 2
        left = max(0, (out_width - 1) * stride_w + (columns - 1) * dilation_w + 1 - width) // 2
    channels = np.arange(depth)
    if op.kind == "CONV_2D":  # each group of filters reads its own channels
        groups = depth // net.input(op, 1).shape[3]
        final = (channels // (depth // groups) + 1) * (out_depth // groups) - 1
    else:
        final = (channels + 1) * (out_depth // depth) - 1
    for batch in range(batches):
        for y in range(out_height):
            for x in range(out_width):
                step = ((batch * out_height + y) * out_width + x) * out_depth
                for row in range(y * stride_h - top, y * stride_h - top + rows * dilation_h, dilation_h):
                    for column in range(x * stride_w - left, x * stride_w - left + columns * dilation_w, dilation_w):
                        if 0 <= row < height and 0 <= column < width:
                            last[batch, row, column] = step + final
