"""Control flow: the bodies of If, Loop and Scan get their values from the net around them, and give it its shapes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mcuprof.errors import ModelError
from mcuprof.graph import DType, Shape, Tensor
from mcuprof.readers.onnx.net import ABSENT, Net, Node


def taken_branch(net: Net, node: Node) -> list[Node] | None:
    """Puts the branch of an If whose condition is constant into the net, in place of the If; None for other nodes.

    Exporters leave such an If where they could not know a shape that mcuprof knows. The nodes are linked, not yet
    inferred.
    """
    condition = net.constant(node.input(0)) if node.op == "If" and not node.domain else None
    if condition is None or condition.size != 1:
        return None
    body = node.bodies.get("then_branch" if condition.reshape(())[()] else "else_branch")
    if body is None or len(body.outputs) != len(node.outputs) or body.inputs:
        return None
    results = node.outputs
    net.drop(node)
    for name, tensor in body.values.items():
        if name in net.values or name in net.producer:
            raise ModelError(f"writes the tensor {name!r} twice (a branch of {node})")
        net.values[name] = tensor
    net.declared = {**body.declared, **net.declared}
    for name, result in zip(body.outputs, results, strict=True):
        if result != ABSENT:
            body.nodes.append(Node("Identity", [name], [result], node.position, source="Identity"))
    for inner in body.nodes:
        inner.position = node.position
        if any(name in net.values for name in inner.outputs):
            raise ModelError(f"writes a tensor twice ({inner} in a branch of {node})")
        net.add(inner)
    return body.nodes


def run_bodies(net: Net, node: Node, infer: Callable[[Net], None]) -> dict[int, tuple[Shape, DType]]:
    """Hands values to the bodies of If, Loop and Scan, infers them, and reads the outputs off them."""
    explicit = node.inputs[: len(node.inputs) - len(node.captures)]
    node.captures = [name for name in node.captures if not net.values[name].is_constant]
    arguments = _arguments(net, node, explicit)
    for label, body in node.bodies.items():
        if len(arguments) != len(body.inputs):
            raise ModelError(f"{node} passes {len(arguments)} values to its {label!r}, which takes {len(body.inputs)}")
        for name, (shape, dtype) in zip(body.inputs, arguments, strict=True):
            body.set_value(Tensor(name, shape, dtype))
        for name in body.captured:
            body.values[name] = net.values[name]
        body.inputs = body.inputs + node.captures
        for name in node.captures:
            body.values.setdefault(name, net.values[name])
        infer(body)
    node.inputs = explicit + node.captures
    return _results(net, node, explicit)


def _arguments(net: Net, node: Node, explicit: list[str]) -> list[tuple[Shape, DType]]:
    values = [(net.values[name].shape, net.values[name].dtype) if name else ((), DType.BOOL) for name in explicit]
    if node.op == "Loop":
        return [((), DType.INT64), ((), DType.BOOL), *values[2:]]
    if node.op == "Scan":
        states = len(values) - node.integer("num_scan_inputs")
        if net.opsets.get("", 0) < 9 or not 0 <= states < len(values):
            raise ModelError(f"{node} is of an opset before 9, or scans {len(values) - states} of {len(values)} inputs")
        axes = node.integers("scan_input_axes") or (0,) * (len(values) - states)
        if len(axes) != len(values) - states or any(not shape for shape, _ in values[states:]):
            raise ModelError(f"{node} does not scan its inputs along axes that they have")
        sliced = [(_without(shape, axis), dtype) for (shape, dtype), axis in zip(values[states:], axes, strict=True)]
        return values[:states] + sliced
    return []


def _without(shape: Shape, axis: int) -> Shape:
    axis %= len(shape)
    return (*shape[:axis], *shape[axis + 1 :])


def _results(net: Net, node: Node, explicit: list[str]) -> dict[int, tuple[Shape, DType]]:
    bodies = list(node.bodies.values())
    outputs = [[(body.values[name].shape, body.values[name].dtype) for name in body.outputs] for body in bodies]
    if node.op == "If":
        if any(len(other) != len(node.outputs) for other in outputs):
            raise ModelError(f"{node} has {len(node.outputs)} outputs, its branches have others")
        if any(other != outputs[0] for other in outputs):
            net.note(f"{node} has branches of different shapes; the larger one counts")
        return {
            index: max((branch[index] for branch in outputs), key=lambda found: found[1].nbytes(int(np.prod(found[0]))))
            for index in range(len(node.outputs))
        }
    if node.op not in ("Loop", "Scan") or len(outputs) != 1:
        return {}
    made = outputs[0][1:] if node.op == "Loop" else outputs[0]
    states = len(explicit) - (2 if node.op == "Loop" else node.integer("num_scan_inputs"))
    found: dict[int, tuple[Shape, DType]] = dict(enumerate(made[:states]))
    steps = _steps(net, node, explicit, states)
    if steps is not None:
        for index, (shape, dtype) in enumerate(made[states:], states):
            found[index] = ((steps, *shape), dtype)
    return found


def _steps(net: Net, node: Node, explicit: list[str], states: int) -> int | None:
    """How often the body runs; None when that is only known at run time (or outputs go along another axis than 0)."""
    if node.op == "Loop":
        count = net.integers(explicit[0]) if explicit[0] else None
        return count[0] if count is not None and len(count) == 1 else None
    if any(node.integers("scan_output_axes")):
        return None
    axis = (node.integers("scan_input_axes") or (0,))[0]
    return net.values[explicit[states]].shape[axis]
