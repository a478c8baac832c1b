"""Shapes and element types of all values, in one pass over the sorted nodes, constants folded on the way.

Per node, in this order: constant folding, own rules (operators that ONNX's registry does not know or that are too
frequent to ask it), ONNX's inference for the single operator, and at last what the file declares.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from mcuprof.errors import ModelError
from mcuprof.graph import DType, Quantization, Shape, Tensor
from mcuprof.readers.onnx.bounds import bound
from mcuprof.readers.onnx.control import run_bodies, taken_branch
from mcuprof.readers.onnx.evaluate import evaluate
from mcuprof.readers.onnx.load import declared_type
from mcuprof.readers.onnx.net import ABSENT, Net, Node, constant_tensor
from mcuprof.readers.onnx.qoperator import desugar
from mcuprof.readers.onnx.tensors import ELEMENT_TYPES, dtype_of

MAX_DATA = 4096  # elements of constants that are shown to ONNX's inference (shapes, axes, scales)

# Output 0 looks like input 0. Quant … FloatQuant: QONNX; MultiThreshold: FINN; RequantShift, i…: Deeploy (PULP).
_SAME = frozenset(
    (
        *("Identity", "Relu", "LeakyRelu", "PRelu", "Elu", "Selu", "Sigmoid", "Tanh", "Softmax", "LogSoftmax", "Clip"),
        *("HardSigmoid", "HardSwish", "Gelu", "Erf", "Exp", "Log", "Neg", "Abs", "Sqrt", "Floor", "Ceil", "Round"),
        *("Sign", "LRN", "InstanceNormalization", "Dropout", "BatchNormalization"),
        *("FastGelu", "QuickGelu", "BiasGelu", "SkipLayerNormalization", "QLinearLeakyRelu", "QLinearSigmoid"),
        *("Quant", "IntQuant", "BipolarQuant", "Trunc", "FloatQuant", "MultiThreshold"),
        *("RequantShift", "iGELU", "iSoftmax", "iLayerNorm", "iRMSNorm", "iHardswish"),
    )
)
# ONNX's registry has some operators for float only; their shapes do not hang on the type.
_AS_FLOAT = frozenset(dtype for dtype in DType if dtype.is_integer)


def infer(net: Net) -> None:
    """Gives every value of the net (and of its bodies) a shape and a type; folds constants.

    Raises ModelError naming the tensor and operator where a shape stays unknown.
    """
    kept: list[Node] = []
    pending = deque(net.nodes)
    while pending:
        node = pending.popleft()
        branch = taken_branch(net, node) if node.bodies else None
        if branch is not None:
            pending.extendleft(reversed(branch))
            continue
        desugar(net, node)
        if node.op == "QuantizeLinear":
            node.dtype = _quantized_dtype(net, node)
        if not _fold(net, node):
            _shapes(net, node)
            kept.append(node)
    if len(kept) != len(net.nodes):
        net.nodes = kept
        net.link()


def _fold(net: Net, node: Node) -> bool:
    """Makes the outputs constants, if that is what they are; True when the node has nothing left to do."""
    source = net.values.get(node.input(0)) if not node.domain else None
    arrays: list[np.ndarray] | None
    if node.op == "Identity" and source is not None and source.is_constant and len(node.outputs) == 1:
        net.set_value(replace(source, name=node.outputs[0]))
        return True
    if node.op == "Shape" and source is not None:
        start, end = node.integer("start"), node.integer("end", len(source.shape))
        arrays = [np.array(source.shape[start:end], np.int64)]
    elif node.op == "Size" and source is not None:
        arrays = [np.array(source.elements, np.int64)]
    else:
        arrays = evaluate(net, node)
    if arrays is None or len(arrays) != len(node.outputs):
        return False
    for name, array in zip(node.outputs, arrays, strict=True):
        packed = source is not None and 0 < source.dtype.bits < 8 and array.dtype == np.int8
        if name != ABSENT:
            net.set_value(constant_tensor(name, array, dtype=source.dtype if source is not None and packed else None))
    return True


def _shapes(net: Net, node: Node) -> None:
    wanted = [index for index, name in enumerate(node.outputs) if name != ABSENT]
    reason = ""
    if node.bodies:
        found = run_bodies(net, node, infer)
    elif node.op in _SAME and wanted == [0] and node.input(0):
        found = {0: (net.values[node.inputs[0]].shape, net.values[node.inputs[0]].dtype)}
    elif (
        node.op in ("QuantizeLinear", "DequantizeLinear")
        and not node.domain
        and all(node.input(index) for index in (0, 1))
    ):
        found = {0: (net.values[node.inputs[0]].shape, node.dtype or _real_dtype(net, node))}
    else:
        found, reason = _registered(net, node)
    loose = any(name in net.bounded for name in node.inputs)
    for index in wanted:
        name = node.outputs[index]
        known = found.get(index)
        if known is None or loose:
            declared = _declared(net, node, name)
            loose = loose and declared is None
            known = declared or known or bound(net, node, name)
        if known is None:
            raise ModelError(f"tensor {name!r} (output of {node}) has no shape that can be derived{reason}")
        if loose:
            net.bounded.add(name)
        quantization = node.attributes.get("output_quantization") if index == 0 else None
        assert quantization is None or isinstance(quantization, Quantization)
        net.set_value(Tensor(name, known[0], (node.dtype if index == 0 else None) or known[1], quantization))


def _quantized_dtype(net: Net, node: Node) -> DType:
    if node.integer("output_dtype"):
        return dtype_of(node.integer("output_dtype"), str(node))
    return net.values[node.inputs[2]].dtype if node.input(2) else DType.UINT8


def _real_dtype(net: Net, node: Node) -> DType:
    if node.integer("output_dtype"):
        return dtype_of(node.integer("output_dtype"), str(node))
    return net.values[node.inputs[1]].dtype


# What the file declares -----------------------------------------------------------------------------------------------


def _declared(net: Net, node: Node, name: str) -> tuple[Shape, DType] | None:
    """Shape and type from the file's own value_info; None where it leaves a dimension open."""
    if name not in net.declared:
        return None
    dtype, sizes = declared_type(net, name, f"tensor {name!r} (output of {node})")
    shape = tuple(size if isinstance(size, int) else net.dims.get(size or "", -1) for size in sizes or (-1,))
    return None if -1 in shape else (shape, dtype)


# ONNX's own inference -------------------------------------------------------------------------------------------------


def _registered(net: Net, node: Node) -> tuple[dict[int, tuple[Shape, DType]], str]:
    """What ONNX's registry derives for an operator, and its complaint if it refused."""
    schema = _schema(node.op, net.opsets.get(node.domain, 1), node.domain)
    if schema is None:
        return {}, ""
    types, complaint = _ask(net, node, schema)
    found: dict[int, tuple[Shape, DType]] = {}
    for index, name in enumerate(node.outputs):
        proto = types.get(name)
        if name == ABSENT or proto is None:
            continue
        if proto.WhichOneof("value") not in (None, "tensor_type"):
            raise ModelError(f"tensor {name!r} (output of {node}) is not a tensor and has no fixed size")
        tensor = proto.tensor_type
        dims = [dim.dim_value if dim.HasField("dim_value") else -1 for dim in tensor.shape.dim]
        if tensor.HasField("shape") and min(dims, default=0) >= 0 and tensor.elem_type:
            found[index] = (tuple(dims), dtype_of(tensor.elem_type, f"tensor {name!r}"))
    return found, complaint


@lru_cache(maxsize=1024)
def _schema(op: str, version: int, domain: str) -> Any:
    from onnx import defs

    try:
        return defs.get_schema(op, max_inclusive_version=max(1, min(version, 2**31 - 1)), domain=domain)
    except defs.SchemaError:
        return None


def _ask(net: Net, node: Node, schema: Any) -> tuple[Mapping[str, Any], str]:
    """Output types by name from ONNX's inference for this operator; none and the reason when it refuses."""
    import onnx

    values = node.inputs[: schema.max_input]
    names = [f"{index}" if name else "" for index, name in enumerate(values)]
    attributes = [proto for proto in node.protos if proto.name in schema.attributes]
    proto = onnx.NodeProto(op_type=node.op, domain=node.domain, input=names, output=node.outputs, attribute=attributes)
    data = {}
    for name, value in zip(names, values, strict=True):
        tensor = net.values.get(value)
        if (
            tensor is not None
            and tensor.is_constant
            and tensor.elements <= MAX_DATA
            and node.op not in ("Conv", "Gemm")
        ):
            array = net.constant(value)
            if array is not None and tensor.dtype.bits >= 8:
                data[name] = onnx.numpy_helper.from_array(array)
    failure = ""
    for as_float in (False, True):
        types = {
            name: onnx.helper.make_tensor_type_proto(
                _element_type(net.values[value], as_float and _takes_floats(schema, index)), net.values[value].shape
            )
            for index, (name, value) in enumerate(zip(names, values, strict=True))
            if name
        }
        if "" in names:
            types[""] = onnx.TypeProto()  # onnx 1.16 looks absent inputs up, too
        try:
            opsets = [onnx.helper.make_opsetid(domain, version) for domain, version in net.opsets.items()]
            found: Mapping[str, Any] = onnx.shape_inference.infer_node_outputs(
                schema, proto, types, data, opset_imports=opsets
            )
            return found, ""
        except Exception as error:  # ONNX raises several C++ exception types, ValueError and KeyError here
            failure = failure or f" ({(str(error).splitlines() or [''])[0][:160]})"
            data = {name: value for name, value in data.items() if net.values[values[int(name)]].dtype.bits == 64}
    return {}, failure


def _takes_floats(schema: Any, index: int) -> bool:
    """Whether this input may be float: lengths and axes may not."""
    return "tensor(float)" in schema.inputs[min(index, len(schema.inputs) - 1)].types


def _element_type(tensor: Tensor, as_float: bool) -> int:
    shown = (
        DType.FLOAT32 if as_float and tensor.dtype in _AS_FLOAT and tensor.dtype is not DType.INT64 else tensor.dtype
    )
    return ELEMENT_TYPES[shown]
