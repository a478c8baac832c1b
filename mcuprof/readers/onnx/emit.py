"""`Net` → `Graph`: converts operators, numbers the tensors that are used, collects the bodies as subgraphs."""

from __future__ import annotations

from typing import Any

from mcuprof.errors import ModelError
from mcuprof.graph import ABSENT, Attribute, Graph, Op, Origin, Tensor
from mcuprof.readers.onnx import net as names
from mcuprof.readers.onnx.call import Call, Table
from mcuprof.readers.onnx.convert_compute import COMPUTE
from mcuprof.readers.onnx.convert_move import MOVE
from mcuprof.readers.onnx.net import Net, Node
from mcuprof.readers.onnx.tensors import text

_CONVERTERS: Table = {**COMPUTE, **MOVE}
_BODY_NAMES = {"then_branch": "then_subgraph", "else_branch": "else_subgraph", "body": "body_subgraph"}


def emit(net: Net, model: Any) -> Graph:
    """The finished graph; `model` is the ModelProto it came from."""
    bodies: list[Graph | None] = []
    main = _graph(net, bodies)
    producer = f"{text(model.producer_name)} {text(model.producer_version)}".strip()
    origin = Origin(
        format="onnx",
        producer=f"{producer} opset {net.opsets.get('', 0)}".strip(),
        description=text(model.doc_string),
        metadata={text(entry.key): text(entry.value).encode() for entry in model.metadata_props},
        notes=tuple(note for note, odd in net.notes.items() if not odd),
        oddities=tuple(note for note, odd in net.notes.items() if odd),
    )
    return Graph(main.name, main.tensors, main.ops, main.inputs, main.outputs, origin, _complete(bodies))


def _complete(bodies: list[Graph | None]) -> tuple[Graph, ...]:
    assert all(body is not None for body in bodies)
    return tuple(body for body in bodies if body is not None)


def _graph(net: Net, bodies: list[Graph | None]) -> Graph:
    """The graph of `net`; those of its bodies go to `bodies`, outer ones first, inner ones right behind them."""
    numbers: dict[str, int] = {}
    tensors: list[Tensor] = []

    def number(name: str) -> int:
        if name == names.ABSENT:
            return ABSENT
        if name not in numbers:
            numbers[name] = len(tensors)
            tensors.append(net.values[name])
        return numbers[name]

    inputs = tuple(number(name) for name in net.inputs)
    ops = []
    for node in net.nodes:
        call = _call(node, net)
        attributes = {**call.attributes, **_subgraphs(node, bodies)}
        results = node.outputs[:1] if node.op == "Dropout" else node.outputs
        while results and results[-1] == names.ABSENT:
            results = results[:-1]
        read, written = (tuple(number(name) for name in side) for side in (call.inputs, results))
        version = net.opsets.get(node.domain, 1)
        ops.append(Op(call.kind, read, written, attributes, node.name, version, node.source))
    outputs = tuple(number(name) for name in net.outputs)  # a constant that is an output comes in here
    return Graph(net.name, tuple(tensors), tuple(ops), inputs, outputs)


def _call(node: Node, net: Net) -> Call:
    converter = _CONVERTERS.get(node.op) if not node.domain else None
    try:
        call = converter(node, net) if converter is not None else None
    except (IndexError, ValueError, KeyError, OverflowError, ZeroDivisionError) as error:
        raise ModelError(f"{node} is malformed ({type(error).__name__}: {error})") from error
    if call is None:
        kind = f"{node.domain}::{node.op}" if node.domain else node.op
        call = Call(kind, node.inputs, _plain(node))
    inputs = list(call.inputs)
    while inputs and inputs[-1] == names.ABSENT:
        inputs.pop()
    return Call(call.kind, inputs, call.attributes)


def _plain(node: Node) -> dict[str, Attribute]:
    """The attributes of an opaque operator that are numbers, texts or lists of them; texts are joined with commas."""
    found: dict[str, Attribute] = {}
    for name, value in node.attributes.items():
        items = value if isinstance(value, tuple) else (value,)
        if all(isinstance(item, int | float | str) for item in items):
            texts = [item for item in items if isinstance(item, str)]
            found[name] = ",".join(texts) if texts else value
    return found


def _subgraphs(node: Node, bodies: list[Graph | None]) -> dict[str, Attribute]:
    """Attributes that point to the bodies: the file's own order, this operator's bodies one after the other."""
    found: dict[str, Attribute] = {}
    for label, body in node.bodies.items():
        place = len(bodies)
        bodies.append(None)  # numbered before those inside it, finished after them
        bodies[place] = _graph(body, bodies)
        found[_BODY_NAMES.get(label, f"{label}_subgraph")] = place + 1
    return found
