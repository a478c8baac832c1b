"""Every ONNX model of the shared corpus: read, or refused with the reason that is expected.

Outside truths: the corpus table (operators, MACs), the files' own scale initializers, and ONNX Runtime's shapes.
"""

from __future__ import annotations

import time
from functools import cache

import numpy as np
import pytest

from mcuprof import ops
from mcuprof.errors import ModelError
from mcuprof.graph import DType, Graph
from mcuprof.readers import read
from tests.corpus import MODELS, models, needs_shared

REFUSED = {
    "lfs_pointer_mlonmcu_resnet50": "git-LFS pointer",
    "bad_o_trunc_half": "is not an ONNX model, or truncated",
    "bad_o_deep_nest_300": "is not an ONNX model, or truncated",
    "bad_o_huge_dims": "declares 85,070,591,730,234,615,865,843,651,857,942,052,864 bytes",
    "bad_o_cycle": "has a cycle through DequantizeLinear",
    "bad_o_missing_input": "reads the tensor 'does_not_exist', which nothing writes",
    "bad_o_raw_short": "holds 7 bytes where its shape needs 1,024",
    "bad_o_dup_nodes": "writes the tensor 'StatefulPartitionedCall:0' twice",
    "bad_o_no_output": "declares no outputs",
    "bad_o_external_abs": "lies outside the model's folder",
}
# The table's MACs leave these out (its note says "macs partial"), or count no DynamicQuantizeLSTM.
MACS_PARTIAL = {"hls4ml_kws_w3a3_qonnx", "qonnx_zoo_tfc_1w2a", "qonnx_zoo_tfc_2w2a", "drv_dtln1_dynamic"}
RECURRENT = ("LSTM", "GRU", "RNN")  # their MACs are a matter of the ops room
PRODUCTS = ("Conv", "QLinearConv", "ConvInteger", "Gemm", "QGemm", "MatMul", "QLinearMatMul", "MatMulInteger")
CONVERTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "BATCH_MATMUL")


ROWS = {entry.name: entry.row for entry in models() if entry.row["format"] == "onnx" and entry.path.is_file()}
# Not ONNX at all: the other reader's (a TFLite file named .onnx).
READABLE = [name for name in ROWS if name not in REFUSED and name != "bad_o_tflite_named_onnx"]
pytestmark = needs_shared


@cache
def graph_of(name: str) -> Graph:
    return read(MODELS / ROWS[name]["file"])


@pytest.mark.parametrize("name", [name for name in REFUSED if name in ROWS])
def test_refused_with_one_line(name: str) -> None:
    with pytest.raises(ModelError) as caught:
        read(MODELS / ROWS[name]["file"])
    assert REFUSED[name] in str(caught.value) and len(str(caught.value).splitlines()) == 1


def test_nothing_that_runs_is_refused() -> None:
    refused = [name for name in REFUSED if name in ROWS and ROWS[name]["runs_ort"] == "yes"]
    assert refused == []


@pytest.mark.parametrize("name", READABLE)
def test_read_graphs_are_sound(name: str) -> None:
    """Values are written once and before they are read; shapes agree with what the operators mean."""
    main = graph_of(name)
    for graph in (main, *main.subgraphs):
        written = set(graph.inputs)
        used = set(graph.inputs) | set(graph.outputs)
        for op in graph.ops:
            for index in op.inputs:
                assert index == -1 or index in written or graph.tensors[index].is_constant, (op, index)
            assert not written & set(op.outputs)
            written |= set(op.outputs)
            used |= {*op.inputs, *op.outputs} - {-1}
            for key, value in op.attributes.items():
                assert not key.endswith("_subgraph") or 1 <= int(str(value)) <= len(main.subgraphs)
            shapes = ops.output_shapes(graph, op, tuple(graph.tensors[i].shape if i >= 0 else () for i in op.inputs))
            if shapes is not None:
                assert shapes == tuple(graph.tensors[index].shape for index in op.outputs if index >= 0), op
        assert used == set(range(len(graph.tensors)))
        for tensor in graph.tensors:
            assert min(tensor.shape, default=0) >= 0
            assert tensor.data is None or len(tensor.data) in (tensor.nbytes, 0)


@pytest.mark.parametrize("name", [name for name in READABLE if ROWS[name]["ops"]])
def test_products_are_all_there(name: str) -> None:
    counts = {
        kind.split("::")[-1]: int(count)
        for kind, count in (entry.rsplit(":", 1) for entry in ROWS[name]["ops"].split())
    }
    main = graph_of(name)
    found = sum(op.kind in CONVERTED for graph in (main, *main.subgraphs) for op in graph.ops)
    assert found == sum(counts.get(kind, 0) for kind in PRODUCTS)
    counted = ROWS[name]["macs"] and name not in MACS_PARTIAL and "macs partial" not in ROWS[name]["note"]
    if counted and not any(op.kind in RECURRENT for op in main.ops):
        assert ops.total_macs(main) == int(ROWS[name]["macs"])


@pytest.mark.parametrize("name", [name for name in READABLE if name.startswith("drv_") and "dynamic" not in name])
def test_derived_models_are_integer_between_input_and_output(name: str) -> None:
    """ONNX Runtime's quantizer leaves no float islands; kws quantizes behind a Reshape of its float input."""
    graph = graph_of(name)
    for op in graph.ops:
        if op.kind == "QUANTIZE":
            source = graph.producer.get(op.inputs[0])
            assert op.inputs[0] in graph.inputs or (source == 0 and graph.ops[0].kind == "RESHAPE")
        elif op.kind == "DEQUANTIZE":
            assert op.outputs[0] in graph.outputs
        elif not (op is graph.ops[0] and op.kind == "RESHAPE"):
            tensors = [graph.tensors[index] for index in (*op.inputs[:1], *op.outputs)]
            assert all(tensor.dtype.is_integer and tensor.quantization is not None for tensor in tensors), op
        if op.kind in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
            x, weights, bias = (graph.input(op, index) for index in range(3))
            assert bias.dtype is DType.INT32 and weights.is_constant and weights.dtype in (DType.INT8, DType.INT4)
            assert x.quantization and weights.quantization and bias.quantization
            product = x.quantization.scale[0] * np.array(weights.quantization.scale)
            assert bias.quantization.scale == pytest.approx(np.broadcast_to(product, len(bias.quantization.scale)))


def test_weights_of_four_bits_and_activations_of_sixteen() -> None:
    for name, x, weights in (("drv_resnet8_qdq_a8w4", 8, 4), ("drv_resnet8_qdq_a16w8", 16, 8)):
        if name in READABLE:
            convs = [op for op in graph_of(name).ops if op.kind == "CONV_2D"]
            bits = {tuple(graph_of(name).input(op, index).dtype.bits for index in (0, 1)) for op in convs}
            assert bits == {(x, weights)}


@pytest.mark.parametrize("name", [name for name in READABLE if name.startswith(("drv_resnet8_q", "drv_mbv2_q"))])
def test_scales_are_those_of_the_file(name: str) -> None:
    """The quantizer names the scale of `v_quantized` and `v_QuantizeLinear_Output` `v_scale`."""
    import onnx

    model = onnx.load(str(MODELS / ROWS[name]["file"]))
    stored = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    checked = 0
    for tensor in graph_of(name).tensors:
        stem = tensor.name.removesuffix("_quantized").removesuffix("_QuantizeLinear_Output")
        if tensor.quantization is None or stem == tensor.name or f"{stem}_scale" not in stored:
            continue
        assert np.array_equal(np.array(tensor.quantization.scale, np.float32), stored[f"{stem}_scale"].reshape(-1))
        assert list(tensor.quantization.zero_point) == stored[f"{stem}_zero_point"].reshape(-1).tolist()
        checked += 1
    assert checked > 20


SMALL = (
    *("alibaba_kws_onnx", "mlonmcu_kws_m_qop_tvm_onnx", "gap_mnist_gru_onnx", "espdl_streaming_model"),
    *("drv_resnet8_qdq_a8w4", "drv_resnet8_qop_u8s8", "drv_unet64_qdq_a16w8", "drv_dtln1_dynamic", "drv_kwsm_dynamic"),
)


@pytest.mark.parametrize("name", [name for name in SMALL if name in READABLE])
def test_shapes_and_types_are_those_of_onnxruntime(name: str) -> None:
    """Tensors have the shape and type that running the file gives; all but moved integers are the file's own."""
    import onnx

    runtime = pytest.importorskip("onnxruntime", reason="the oracle onnxruntime is not installed")
    graph = graph_of(name)
    known = {graph.tensors[index].name: graph.tensors[index] for op in graph.ops for index in op.outputs if index >= 0}
    model = onnx.load(str(MODELS / ROWS[name]["file"]))
    del model.graph.output[:]
    made = {name for node in model.graph.node for name in node.output}
    assert len(known.keys() - made) <= 1
    known = {name: tensor for name, tensor in known.items() if name in made}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in known)
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feeds = {
        graph.tensors[i].name: np.zeros(graph.tensors[i].shape, graph.tensors[i].dtype.value) for i in graph.inputs
    }
    for tensor, result in zip(known.values(), session.run(list(known), feeds), strict=True):
        assert (result.shape, result.dtype.name) == (tensor.shape, tensor.dtype.value), tensor.name


def test_twenty_thousand_operators_are_quick() -> None:
    if "bad_o_20000_identity" not in ROWS:
        pytest.skip("not in this corpus")
    import onnx  # noqa: F401  (its import is not what is measured)

    began = time.process_time()
    graph = read(MODELS / "bad_o_20000_identity.onnx")
    assert len(graph.ops) == 20_000 and time.process_time() - began < 3


def test_stripped_weights_keep_their_sizes() -> None:
    if "zigzag_alexnet_shapes_only" not in ROWS:
        pytest.skip("not in this corpus")
    graph = graph_of("zigzag_alexnet_shapes_only")
    weights = graph.input(next(op for op in graph.ops if op.kind == "CONV_2D"), 1)
    assert weights.is_constant and weights.shape == (96, 3, 11, 11) and weights.nbytes == 4 * 96 * 3 * 11 * 11
    assert graph.origin.notes == ("weights in external data files are missing: sizes are exact, contents unknown",)


def test_order_is_repaired_and_noted() -> None:
    if "bad_o_not_topological" in ROWS:
        assert any("not in topological order" in odd for odd in graph_of("bad_o_not_topological").origin.oddities)


def test_nested_branches_are_subgraphs() -> None:
    if "bad_o_deep_if_25" in ROWS:
        graph = graph_of("bad_o_deep_if_25")
        assert [op.kind for op in graph.ops] == ["IF"] and len(graph.subgraphs) == 50
        inner = graph.subgraphs[graph.ops[0].integer("then_subgraph") - 1]
        assert len(graph.ops[0].inputs) == 1 + len(inner.inputs)


def test_dynamically_quantized_lstm_keeps_integer_weights() -> None:
    if "drv_dtln1_dynamic" in ROWS:
        graph = graph_of("drv_dtln1_dynamic")
        for op in (op for op in graph.ops if op.kind == "LSTM"):
            assert op.source == "com.microsoft::DynamicQuantizeLSTM" and op.integer("transposed")
            assert all(graph.input(op, i).dtype is DType.INT8 and graph.input(op, i).quantization for i in (1, 2))


def test_producer_is_named() -> None:
    if "drv_resnet8_qop_u8s8" in ROWS:
        assert graph_of("drv_resnet8_qop_u8s8").origin.producer == "onnx.quantize 0.1.0 opset 17"
