"""Bytes → `Net`: parses the protobuf, decodes constants and attributes, checks that every value is written once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mcuprof.errors import ModelError
from mcuprof.graph import DType, Shape, Tensor
from mcuprof.limits import DEFAULT, ReadLimits
from mcuprof.readers.onnx.net import ABSENT, Net, Node, constant_tensor
from mcuprof.readers.onnx.tensors import External, decode, dtype_of, text

MAX_DEPTH = 32  # of If, Loop and Scan bodies; protobuf itself stops near 33
MAX_INLINED_NODES = 200_000
MAX_RANK = 32

# AttributeProto.AttributeType
_FLOAT, _INT, _STRING, _TENSOR, _GRAPH, _FLOATS, _INTS, _STRINGS = 1, 2, 3, 4, 5, 6, 7, 8


def parse(data: bytes) -> Any:
    """The ModelProto in `data`, local functions inlined. Raises ModelError when it is not one."""
    import onnx

    try:
        model = onnx.ModelProto.FromString(data)
    except Exception as error:  # protobuf's DecodeError, and what its other implementations raise
        raise ModelError(f"is not an ONNX model, or truncated ({(str(error).splitlines() or [''])[0][:120]})") from None
    if not model.HasField("graph") or not (model.graph.node or model.graph.output):
        raise ModelError("is not an ONNX model (no graph in it)")
    return _inlined(model) if model.functions else model


def build(model: Any, path: str, input_shapes: Mapping[str, Shape], limits: ReadLimits = DEFAULT) -> Net:
    """The main graph as a linked, sorted `Net` whose inputs have shapes. Raises ModelError on whatever is broken."""
    builder = _Builder(model, External(Path(path).parent if path else None, limits))
    net = builder.net(model.graph, 0)
    if not net.outputs:
        raise ModelError("declares no outputs")
    if net.captured:
        reader = net.readers(net.captured[0])[0]
        raise ModelError(f"{reader} reads the tensor {net.captured[0]!r}, which nothing writes")
    _check_input_names(net, input_shapes)
    for name in sorted(net.inputs, key=lambda name: name not in input_shapes):  # given sizes name dimensions of others
        net.set_value(_input(net, name, input_shapes.get(name)))
    return net


class _Builder:
    def __init__(self, model: Any, external: External) -> None:
        self.external = external
        self.notes: dict[str, bool] = {}
        self.dims: dict[str, int] = {}
        self.opsets = {_domain(text(entry.domain)): entry.version for entry in model.opset_import}

    def net(self, graph: Any, depth: int) -> Net:
        if depth > MAX_DEPTH:
            raise ModelError(f"nests more than {MAX_DEPTH} levels of If, Loop or Scan")
        if graph.sparse_initializer:
            raise ModelError("has sparse initializers, which are not supported")
        net = Net(text(graph.name), notes=self.notes, dims=self.dims, opsets=self.opsets)
        for proto in graph.initializer:
            name = text(proto.name)
            if name in net.values:
                raise ModelError(f"has two initializers named {name!r}")
            net.set_value(decode(proto, name, self.external, net.note))
        net.inputs = [name for value in graph.input if (name := text(value.name)) not in net.values]
        net.outputs = [text(value.name) for value in graph.output]
        net.declared = {text(value.name): value.type for value in (*graph.value_info, *graph.input, *graph.output)}
        for position, proto in enumerate(graph.node):
            self.node(net, proto, position, depth)
        net.link()
        self.check(net)
        if net.sort():
            net.note("operators are not in topological order, which ONNX demands; they were sorted", odd=True)
        return net

    def node(self, net: Net, proto: Any, position: int, depth: int) -> None:
        domain, op = _domain(text(proto.domain)), text(proto.op_type)
        inputs, outputs = [text(name) for name in proto.input], [text(name) for name in proto.output]
        source = f"{domain}::{op}" if domain else op
        node = Node(op, inputs, outputs, position, {}, domain, text(proto.name), source)
        for attribute in proto.attribute:
            if attribute.type == _GRAPH:
                node.bodies[text(attribute.name)] = self.net(attribute.g, depth + 1)
            else:
                node.attributes[text(attribute.name)] = _value(attribute)
        node.protos = tuple(attribute for attribute in proto.attribute if attribute.type != _GRAPH)
        if node.op == "Constant" and not domain:
            self.constant(net, node, proto)
            return
        for body in node.bodies.values():
            node.captures = list(dict.fromkeys((*node.captures, *body.captured)))
        node.inputs += node.captures
        net.nodes.append(node)

    def constant(self, net: Net, node: Node, proto: Any) -> None:
        """A Constant node becomes a constant value."""
        if len(node.outputs) != 1 or len(proto.attribute) != 1:
            raise ModelError(f"{node} does not have exactly one value and one output")
        name, attribute = node.outputs[0], proto.attribute[0]
        if name in net.values:
            raise ModelError(f"writes the tensor {name!r} twice")
        if attribute.type == _TENSOR:
            net.set_value(decode(attribute.t, name, self.external, net.note))
        elif attribute.type in (_INT, _INTS):
            net.set_value(constant_tensor(name, np.array(_value(attribute), np.int64)))
        elif attribute.type in (_FLOAT, _FLOATS):
            net.set_value(constant_tensor(name, np.array(_value(attribute), np.float32)))
        elif attribute.type in (_STRING, _STRINGS):
            shape = (len(attribute.strings),) if attribute.type == _STRINGS else ()
            net.set_value(Tensor(name, shape, DType.STRING, data=memoryview(b"")))
        else:
            raise ModelError(f"{node} holds a value of an unsupported kind")

    def check(self, net: Net) -> None:
        """Every value is written once; what is read from outside goes to `captured`."""
        given = set(net.inputs)
        if len(given) < len(net.inputs):
            raise ModelError("has two inputs of the same name")
        for name, node in net.producer.items():
            if name in given or name in net.values:
                raise ModelError(f"writes the tensor {name!r} twice ({node} and an input or constant)")
        read = [name for node in net.nodes for name in node.inputs if name != ABSENT]
        known = given | net.values.keys() | net.producer.keys()
        net.captured = [name for name in dict.fromkeys((*read, *net.outputs)) if name not in known]
        loose = [name for name in net.captured if name not in net.uses]
        if loose:
            raise ModelError(f"has an output {loose[0]!r} that nothing writes")


def _domain(name: str) -> str:
    return "" if name == "ai.onnx" else name


def _value(attribute: Any) -> Any:
    """A decoded attribute; messages (tensors, types, sparse tensors, lists of graphs) stay as they are."""
    kind = attribute.type
    if kind == _FLOAT:
        return attribute.f
    if kind == _INT:
        return attribute.i
    if kind == _STRING:
        return attribute.s.decode("utf-8", "replace")
    if kind == _FLOATS:
        return tuple(attribute.floats)
    if kind == _INTS:
        return tuple(attribute.ints)
    if kind == _STRINGS:
        return tuple(item.decode("utf-8", "replace") for item in attribute.strings)
    return attribute.t if kind == _TENSOR else attribute


# Inputs ---------------------------------------------------------------------------------------------------------------


def _check_input_names(net: Net, input_shapes: Mapping[str, Shape]) -> None:
    unknown = [name for name in input_shapes if name not in net.inputs]
    if unknown:
        names = ", ".join(repr(name) for name in net.inputs)
        raise ModelError(f"has no input {unknown[0]!r} (inputs: {names})")


def _input(net: Net, name: str, given: Shape | None) -> Tensor:
    """Input `name` with a shape: as declared, as given, or with an open batch read as 1."""
    what = f"input {name!r}"
    dtype, sizes = declared_type(net, name, what)
    if sizes is None:
        if given is None:
            raise ModelError(f"{what} has no shape: give it, as in --input-shape {name}:1x3x96x96")
        return Tensor(name, given, dtype)
    if given is not None:
        _check_given(what, sizes, given)
        net.dims.update({size: value for size, value in zip(sizes, given, strict=True) if isinstance(size, str)})
        return Tensor(name, given, dtype)
    if sizes and not isinstance(sizes[0], int) and net.dims.get(sizes[0] or "") is None:
        net.dims.update({sizes[0]: 1} if sizes[0] else {})
        net.note(f"{what} has an open batch size, read as 1")
        sizes = (1, *sizes[1:])
    shape = tuple(size if isinstance(size, int) else net.dims.get(size or "", -1) for size in sizes)
    if -1 in shape:
        text = "x".join(str(size) if isinstance(size, int) else (size or "?") for size in sizes)
        example = "x".join(str(size) if size >= 0 else "96" for size in shape)
        raise ModelError(f"{what} has the open shape {text}: give it, as in --input-shape {name}:{example}")
    return Tensor(name, shape, dtype)


def _check_given(what: str, sizes: tuple[int | str | None, ...], given: Shape) -> None:
    if len(given) != len(sizes):
        raise ModelError(f"{what} has {len(sizes)} dimensions, --input-shape gives {len(given)}")
    for axis, (size, wanted) in enumerate(zip(sizes, given, strict=True)):
        if isinstance(size, int) and size != wanted:
            raise ModelError(f"{what} has a fixed dimension {axis} of {size}")


def declared_type(net: Net, name: str, what: str) -> tuple[DType, tuple[int | str | None, ...] | None]:
    """Element type and sizes (names or None where open; None without a rank) that the file declares for a value.

    Raises ModelError when it declares none, or something that is not a tensor.
    """
    proto = net.declared.get(name)
    if proto is None or not proto.HasField("tensor_type"):
        raise ModelError(f"{what} is not declared as a tensor (sequences, maps and optionals have no fixed size)")
    tensor = proto.tensor_type
    dtype = dtype_of(tensor.elem_type, what)
    if not tensor.HasField("shape"):
        return dtype, None
    if len(tensor.shape.dim) > MAX_RANK:
        raise ModelError(f"{what} has {len(tensor.shape.dim)} dimensions")
    sizes: list[int | str | None] = []
    for dim in tensor.shape.dim:
        known = dim.HasField("dim_value") and dim.dim_value >= 0
        sizes.append(dim.dim_value if known else (text(dim.dim_param) or None))
    return dtype, tuple(sizes)


# Local functions ------------------------------------------------------------------------------------------------------


def _inlined(model: Any) -> Any:
    """The model with its local functions expanded, unless they call each other in circles or explode."""
    from onnx.inliner import inline_local_functions

    functions = {(function.domain, function.name): function for function in model.functions}
    sizes: dict[tuple[str, str], int] = {}
    open_calls: set[tuple[str, str]] = set()

    def size(key: tuple[str, str], depth: int) -> int:
        if key in open_calls or depth > MAX_DEPTH:
            raise ModelError(f"has a local function {key[1]!r} that calls itself or nests too deep")
        if key not in sizes:
            open_calls.add(key)
            sizes[key] = sum(_calls(functions[key].node, depth + 1))
            open_calls.discard(key)
        return sizes[key]

    def _calls(nodes: Any, depth: int) -> list[int]:
        counts = []
        for node in nodes:
            key = (node.domain, node.op_type)
            # What a node carries is copied at every call.
            counts.append(size(key, depth) if key in functions else 1 + node.ByteSize() // 1024)
            for attribute in node.attribute:
                counts += _calls(attribute.g.node, depth + 1) if attribute.type == _GRAPH else []
        return counts

    if sum(_calls(model.graph.node, 0)) > MAX_INLINED_NODES:
        raise ModelError(f"expands to more than {MAX_INLINED_NODES:,} operators")
    for key in functions:
        size(key, 0)
    try:
        return inline_local_functions(model)
    except Exception as error:  # a C++ exception of any kind
        raise ModelError(
            f"has local functions that cannot be expanded ({(str(error).splitlines() or [''])[0][:80]})"
        ) from None
