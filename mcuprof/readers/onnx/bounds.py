"""Shapes that hang on values: the most an operator can give, so that a plan made for it always suffices."""

from __future__ import annotations

from mcuprof.graph import DType, Shape
from mcuprof.readers.onnx.net import Net, Node

_VIEWS = frozenset(("Unsqueeze", "Squeeze", "Reshape", "Identity", "Cast"))
_MAX_STEPS = 16


def bound(net: Net, node: Node, name: str) -> tuple[Shape, DType] | None:
    """Largest shape and the type of output `name` of a Slice or NonZero; None for other operators.

    A Slice from i to i + k (the idiom of loops) has at most k elements along its axis.
    """
    if node.domain or not node.input(0):
        return None
    x = net.values[node.inputs[0]]
    found: tuple[Shape, DType]
    if node.op == "NonZero":
        found = (len(x.shape), x.elements), DType.INT64
    elif node.op == "Slice":
        found = _slice(net, node, x.shape), x.dtype
    else:
        return None
    net.bounded.add(name)
    net.note(f"the shape of {name!r} ({node.source}) hangs on values; the largest possible one counts")
    return found


def _slice(net: Net, node: Node, shape: Shape) -> Shape:
    starts, ends = net.values.get(node.input(1)), net.values.get(node.input(2))
    axes = net.integers(node.input(3)) if node.input(3) else (0,)
    if starts is None or ends is None or axes is None or len(axes) != 1 or starts.elements != 1 or ends.elements != 1:
        return shape
    (first, start), (last, end) = (_root(net, tensor.name) for tensor in (starts, ends))
    axis = axes[0] + len(shape) if axes[0] < 0 else axes[0]
    if first != last or not 0 <= axis < len(shape) or end <= start:
        return shape
    return (*shape[:axis], min(shape[axis], end - start), *shape[axis + 1 :])


def _root(net: Net, name: str) -> tuple[str, int]:
    """The value that `name` is plus a constant, and that constant."""
    offset = 0
    for _ in range(_MAX_STEPS):
        made = net.producer.get(name)
        if made is None or made.domain:
            break
        if made.op in _VIEWS and made.input(0):
            name = made.inputs[0]
        elif made.op == "Add" and len(made.inputs) == 2:
            known = [net.integers(term) for term in made.inputs]
            index = 0 if known[0] is not None else 1
            amount = known[index]
            if amount is None or len(amount) != 1:
                break
            offset += amount[0]
            name = made.inputs[1 - index]
        else:
            break
    return name, offset
