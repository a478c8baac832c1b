"""The TFLite reader against the corpus index, and against files that lie."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcuprof.errors import ModelError
from mcuprof.graph import DType
from mcuprof.ops import total_macs
from mcuprof.readers import read
from tests.corpus import Model, model, models, needs_shared

TFLITE = [entry for entry in models() if entry.row["format"] == "tflite"]

# What the file is told for each one that is not read.
REFUSED = {
    "lfs_pointer_emza_yolo": "git-LFS pointer",
    "bad_empty": "is empty",
    "bad_one_byte": "no TFL3 identifier",
    "bad_trunc_half": "damaged or truncated",
    "bad_trunc_90": "damaged or truncated",
    "bad_trunc_16": "damaged or truncated",
    "bad_root_oob": "damaged or truncated",
    "bad_root_self": "no subgraph",
    "bad_random_tfl3": "damaged or truncated",
    "bad_bitflip_0": "buffer 1 ends at byte",
    "bad_bitflip_2": "damaged or truncated",
    "bad_gzip": "gzip-compressed",
    "bad_html404": "HTML page",
    "bad_png": "PNG picture",
    "bad_neg_shape": "open shape",
    "bad_rank_100": "100 dimensions",
    "bad_tensor_idx_neg": "refers to tensor -7",
    "bad_opcode_idx_oob": "refers to code 777",
    "bad_buffer_short": "holds 10 bytes",
    "bad_no_subgraphs": "no subgraph",
    "bad_output_oob": "refers to tensor 4242",
}

# MACs that the index counts differently.
OTHER_MACS = {
    "litert_lstm_quantized": "the index counts no LSTM without sequence",
    "litert_unidir_lstm_quantized": "the index leaves out the projection",
    "litert_sdpa_mha": "the index counts inside the composite's other subgraph",
}


@needs_shared
@pytest.mark.parametrize("entry", TFLITE, ids=lambda entry: entry.name)
def test_corpus_is_read_or_refused_with_the_reason(entry: Model) -> None:
    if entry.name in REFUSED:
        with pytest.raises(ModelError, match=REFUSED[entry.name]) as caught:
            read(entry.path)
        assert "\n" not in str(caught.value)
        assert str(caught.value).startswith(str(entry.path))
        return
    graph = read(entry.path)
    assert graph.origin.sha256 == entry.row["sha256"]
    assert graph.origin.nbytes == int(entry.row["bytes"])
    counted = sum(len(g.ops) for g in (graph, *graph.subgraphs))
    if entry.row["n_ops"]:
        assert counted == int(entry.row["n_ops"])
    if entry.row["macs"] and entry.name not in OTHER_MACS:
        assert total_macs(graph) == int(entry.row["macs"])


@needs_shared
@pytest.mark.parametrize(
    ("name", "macs"),
    [
        ("mlperf_ad01_int8", 264_192),
        ("mlperf_ic_resnet8_int8", 12_501_632),
        ("mlperf_kws_int8", 2_656_768),
        ("mlperf_vww_mbv1_int8", 7_489_664),
        ("mlperf_streaming_ww", 826_368),
    ],
)
def test_mlperf_tiny_macs(name: str, macs: int) -> None:
    """Published MACs of the reference models (notes/measurements.md)."""
    assert total_macs(read(model(name).path)) == macs


@needs_shared
def test_per_channel_weights_and_options_of_a_convolution() -> None:
    graph = read(model("mlperf_vww_mbv1_int8").path)
    conv = graph.ops[0]
    weights = graph.input(conv, 1)
    assert (conv.kind, conv.text("padding"), conv.integer("stride_h")) == ("CONV_2D", "SAME", 2)
    assert (weights.shape, weights.dtype) == ((8, 3, 3, 3), DType.INT8)
    assert weights.quantization is not None
    assert len(weights.quantization.scale) == 8
    assert weights.array().shape == (8, 3, 3, 3)


@needs_shared
def test_open_batch_is_read_as_one_and_said() -> None:
    graph = read(model("mlperf_kws_int8").path)
    assert graph.tensors[graph.inputs[0]].shape[0] == 1
    assert graph.origin.notes == ("input 'input_1' has an open batch size, read as 1",)


@needs_shared
def test_input_shape_reaches_every_tensor() -> None:
    path = model("mlperf_ad01_int8").path
    graph = read(path, input_shapes={"input_1": (3, 640)})
    assert [graph.output(op).shape[0] for op in graph.ops] == [3] * 10
    assert total_macs(graph) == 3 * 264_192


@needs_shared
def test_input_shape_that_cannot_be() -> None:
    path = model("mlperf_ad01_int8").path
    for shapes, message in (
        ({"input_1": (1, 641)}, "fixed dimension 1 of 640"),
        ({"input_1": (1, 640, 1)}, "has 2 dimensions"),
        ({"other": (1, 640)}, "no input 'other'"),
    ):
        with pytest.raises(ModelError, match=message):
            read(path, input_shapes=shapes)


@needs_shared
def test_several_subgraphs_and_state() -> None:
    graph = read(model("esphome_v2_vad").path)
    assert len(graph.subgraphs) == 1
    assert {op.kind for op in graph.subgraphs[0].ops} == {"VAR_HANDLE", "ASSIGN_VARIABLE"}
    (call,) = [op for op in graph.ops if op.kind == "CALL_ONCE"]
    assert call.integer("init_subgraph") == 1


@needs_shared
def test_content_decides_not_the_suffix() -> None:
    graph = read(model("bad_o_tflite_named_onnx").path)
    assert graph.origin.format == "tflite"
    assert "named .onnx but holds a tflite model" in graph.origin.oddities[0]


def test_things_that_are_no_files(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is a directory"):
        read(tmp_path)
    with pytest.raises(ModelError, match="no such file"):
        read(tmp_path / "missing.tflite")
    with pytest.raises(ModelError, match="null"):
        read("a\0b.tflite")


@needs_shared
@pytest.mark.parametrize("cut", range(0, 18_800, 941))
def test_every_truncation_is_one_line(tmp_path: Path, cut: int) -> None:
    data = model("mlonmcu_qnn_model").path.read_bytes()[:cut]
    path = tmp_path / "cut.tflite"
    path.write_bytes(data)
    try:
        read(path)
    except ModelError as error:
        assert "\n" not in str(error)
