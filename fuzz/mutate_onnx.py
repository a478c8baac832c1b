"""Structure-aware mutation of .onnx files: protobuf fields by name; and, more seldom, bytes of the encoded message."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from random import Random
from types import MappingProxyType
from typing import Any

_INTEGERS = (0, 1, -1, 2, 3, 4, 7, 255, 65536, 2**31 - 1, 2**31, -(2**31), 2**62, 2**63 - 1, -(2**63))
_FLOATS = (0.0, -0.0, -1.0, math.nan, math.inf, -math.inf, 1e-45, 1e-10, 1.0, 3e38)
_NAMES = ("", "x", "nowhere", "a\nb", "\x1b[31m", "ä" * 50)
_TEXTS = ("", "SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET", "linear", "reflect", "DCR", "noise")
_DOMAINS = ("", "com.microsoft", "ai.onnx", "own")
_ATTRIBUTES = (
    *("axis", "axes", "kernel_shape", "strides", "pads", "dilations", "group", "auto_pad", "perm", "transA", "transB"),
    *("alpha", "beta", "to", "block_size", "blocksize", "mode", "keepdims", "split", "num_outputs", "ceil_mode"),
    *("count_include_pad", "output_dtype", "allowzero", "start", "end", "value", "starts", "ends", "output_padding"),
)


def mutate(seed: bytes, random: Random) -> bytes:
    """`seed` with one to six changes."""
    import onnx

    model = onnx.ModelProto.FromString(seed)
    for _ in range(random.choice((1, 1, 1, 2, 2, 3, 6))):
        random.choice(_CHANGES)(model, random)
    data = bytearray(model.SerializeToString())
    way = random.random()
    if way < 0.08:
        for _ in range(random.choice((1, 1, 4))):
            data[random.randrange(len(data))] = random.randrange(256)
    elif way < 0.10:
        del data[random.randrange(len(data)) :]
    elif way < 0.12:
        start, length = random.randrange(len(data)), random.choice((1, 4, 8, 64))
        del data[start : start + length]
    return bytes(data)


# Nodes ----------------------------------------------------------------------------------------------------------------


def _operator(model: Any, random: Random) -> None:
    if node := _pick(model.graph.node, random):
        node.op_type = random.choice(_kinds())
        if random.random() < 0.2:
            node.domain = random.choice(_DOMAINS)


@lru_cache(maxsize=1)
def _kinds() -> tuple[str, ...]:
    from onnx import defs

    contributed = ("QLinearAdd", "QLinearMul", "QGemm", "QLinearConcat", "QLinearAveragePool", "DynamicQuantizeMatMul")
    return (*sorted({schema.name for schema in defs.get_all_schemas()}), *contributed)


def _rewire(model: Any, random: Random) -> None:
    """An input becomes another value, an absent one, an unknown one; or it goes, or a further one comes."""
    node = _pick(model.graph.node, random)
    if node is None:
        return
    name, way = _value_name(model, random), random.random()
    if way < 0.2:
        node.input.append(name)
    elif node.input and way < 0.4:
        del node.input[random.randrange(len(node.input))]
    elif node.input:
        node.input[random.randrange(len(node.input))] = name


def _rename_output(model: Any, random: Random) -> None:
    node = _pick(model.graph.node, random)
    if node is not None and random.random() < 0.3:
        node.output.append(random.choice((_value_name(model, random), "further")))
    elif node is not None and node.output:
        node.output[random.randrange(len(node.output))] = _value_name(model, random)


def _attribute(model: Any, random: Random) -> None:
    node = _pick(model.graph.node, random)
    if node is None:
        return
    attribute = _pick(node.attribute, random) if random.random() < 0.6 else None
    if attribute is None:
        attribute = node.attribute.add(name=random.choice(_ATTRIBUTES))
    _set_attribute(attribute, random)


def _set_attribute(attribute: Any, random: Random) -> None:
    name, kind = attribute.name, attribute.type
    if random.random() < 0.4 or not kind:
        kind = random.choice((1, 2, 3, 6, 7, 8, 4))
        attribute.Clear()
        attribute.name, attribute.type = name, kind
    if kind == 1:
        attribute.f = random.choice(_FLOATS)
    elif kind == 2:
        attribute.i = random.choice(_INTEGERS)
    elif kind == 3:
        attribute.s = random.choice(_TEXTS).encode()
    elif kind == 4:
        _spoil_tensor(attribute.t, random)
    elif kind == 6:
        attribute.floats[:] = [random.choice(_FLOATS) for _ in range(random.randrange(5))]
    elif kind == 7:
        old = list(attribute.ints)
        if old and random.random() < 0.7:
            old[random.randrange(len(old))] = random.choice(_INTEGERS)
        else:
            old = [random.choice(_INTEGERS) for _ in range(random.randrange(9))]
        attribute.ints[:] = old
    elif kind == 8:
        attribute.strings[:] = [random.choice(_TEXTS).encode() for _ in range(random.randrange(4))]


def _shuffle(model: Any, random: Random) -> None:
    """Nodes out of order, twice, or gone."""
    nodes, way = list(model.graph.node), random.random()
    if not nodes:
        return
    place = random.randrange(len(nodes))
    if way < 0.4:
        nodes.insert(random.randrange(len(nodes)), nodes.pop(place))
    elif way < 0.7:
        nodes.insert(place, nodes[random.randrange(len(nodes))])
    else:
        del nodes[place]
    copies = [type(node).FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(copies)


def _nest(model: Any, random: Random) -> None:
    """A node goes into the branches of an If, or the body of a Loop, which may nest."""
    node = _pick(model.graph.node, random)
    if node is None or not node.output:
        return
    inner = type(node).FromString(node.SerializeToString())
    loop = random.random() < 0.3
    names = ("body",) if loop else ("then_branch", "else_branch")
    del node.attribute[:]
    node.domain, node.op_type = "", "Loop" if loop else "If"
    node.input[:] = [_value_name(model, random) for _ in range(random.choice((1, 1, 2, 3)))]
    for name in names:
        graph = node.attribute.add(name=name, type=5).g
        graph.name = name
        for _ in range(random.choice((1, 1, 3))):
            graph.node.add().CopyFrom(inner)
        for output in inner.output:
            graph.output.add(name=output)


def _function(model: Any, random: Random) -> None:
    """A node becomes a call of a local function, which may call itself."""
    node = _pick(model.graph.node, random)
    if node is None:
        return
    inner = type(node).FromString(node.SerializeToString())
    function = model.functions.add(domain="own", name=random.choice(("F", "F", inner.op_type)))
    function.input.extend([f"i{place}" for place in range(len(inner.input))])
    function.output.extend([f"o{place}" for place in range(len(inner.output))])
    inner.input[:], inner.output[:] = list(function.input), list(function.output)
    function.node.add().CopyFrom(inner)
    function.opset_import.add(domain="", version=random.choice((1, 13, 17)))
    node.domain, node.op_type = "own", function.name
    if random.random() < 0.3:
        function.node.add().CopyFrom(node)
    model.opset_import.add(domain="own", version=1)


# Values ---------------------------------------------------------------------------------------------------------------


def _constant(model: Any, random: Random) -> None:
    if tensor := _pick(model.graph.initializer, random):
        _spoil_tensor(tensor, random)


def _spoil_tensor(tensor: Any, random: Random) -> None:
    way = random.random()
    if way < 0.3 and tensor.dims:
        tensor.dims[random.randrange(len(tensor.dims))] = random.choice(_INTEGERS)
    elif way < 0.4:
        tensor.dims[:] = [random.choice(_INTEGERS) for _ in range(random.randrange(5))]
    elif way < 0.6:
        tensor.data_type = random.randrange(-1, 28)
    elif way < 0.7:
        tensor.raw_data = tensor.raw_data[: random.randrange(len(tensor.raw_data) + 1)]
    elif way < 0.8:
        field = random.choice(("float_data", "int32_data", "int64_data"))
        tensor.ClearField("raw_data")
        getattr(tensor, field).extend(
            [random.choice(_FLOATS if field == "float_data" else (0, 1, -1, 127, 2**31 - 1)) for _ in range(3)]
        )
    elif way < 0.9:
        tensor.name = random.choice((*_NAMES, tensor.name))
    else:
        tensor.data_location = 1
        location = random.choice(("w.bin", "../w.bin", "/etc/hostname", "model.onnx", "a\0b", "."))
        for key, value in (("location", location), ("offset", random.choice(("0", "-1", "x", str(2**70))))):
            tensor.external_data.add(key=key, value=value)


def _scale(model: Any, random: Random) -> None:
    """A scalar constant, as scales and zero points are, gets another value."""
    import numpy as np

    scalars = [tensor for tensor in model.graph.initializer if math.prod(tensor.dims) == 1 or len(tensor.dims) == 1]
    tensor = _pick(scalars, random)
    if tensor is None:
        return
    if tensor.data_type == 1:
        content = np.full(max(1, len(tensor.raw_data) // 4), random.choice(_FLOATS), np.float32).tobytes()
    else:
        content = random.randbytes(len(tensor.raw_data))
    tensor.ClearField("float_data")
    tensor.raw_data = content


def _declaration(model: Any, random: Random) -> None:
    """Type or shape of an input, an output or a value in between."""
    values = (*model.graph.input, *model.graph.output, *model.graph.value_info)
    value = _pick(values, random)
    if value is None:
        return
    way, tensor = random.random(), value.type.tensor_type
    if way < 0.2:
        tensor.elem_type = random.randrange(-1, 28)
    elif way < 0.7 and tensor.shape.dim:
        dim = _pick(tensor.shape.dim, random)
        if random.random() < 0.3:
            dim.dim_param = random.choice(("n", "h", ""))
        else:
            dim.dim_value = random.choice(_INTEGERS)
    elif way < 0.8:
        tensor.shape.dim.add(dim_value=random.choice(_INTEGERS))
    elif way < 0.85:
        tensor.ClearField("shape")
    elif way < 0.9:
        value.type.sequence_type.elem_type.tensor_type.elem_type = 1
    else:
        value.name = random.choice((*_NAMES, _value_name(model, random)))


def _border(model: Any, random: Random) -> None:
    """An input or output more or less."""
    field = random.choice((model.graph.input, model.graph.output, model.graph.initializer))
    if random.random() < 0.5 and field:
        del field[random.randrange(len(field))]
    elif field:
        field.add().CopyFrom(field[random.randrange(len(field))])


def _opset(model: Any, random: Random) -> None:
    if entry := _pick(model.opset_import, random):
        entry.version = random.choice((1, 5, 7, 9, 10, 11, 12, 13, 18, 21, 23, 99, *_INTEGERS))


def _value_name(model: Any, random: Random) -> str:
    graph = model.graph
    node = _pick(graph.node, random)
    pools = (
        [value.name for value in graph.input],
        [tensor.name for tensor in graph.initializer],
        list(node.output) if node is not None else [],
        list(node.input) if node is not None else [],
        list(_NAMES),
    )
    pool = random.choice(pools)
    return random.choice(pool) if pool else ""


def _pick(items: Any, random: Random) -> Any:
    return items[random.randrange(len(items))] if len(items) else None


_WEIGHTS: Mapping[Callable[[Any, Random], None], int] = MappingProxyType(
    {
        _operator: 3,
        _rewire: 4,
        _rename_output: 2,
        _attribute: 6,
        _shuffle: 2,
        _nest: 2,
        _function: 1,
        _constant: 4,
        _scale: 3,
        _declaration: 4,
        _border: 2,
        _opset: 1,
    }
)
_CHANGES = tuple(change for change, weight in _WEIGHTS.items() for _ in range(weight))
