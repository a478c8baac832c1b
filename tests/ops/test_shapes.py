"""Output shapes against the shapes stored in real files, and window arithmetic against hand-made cases."""

from __future__ import annotations

import pytest

from mcuprof.errors import ModelError
from mcuprof.graph import Attribute, DType
from mcuprof.ops import is_known, macs, output_shapes, parameters
from mcuprof.ops.geometry import window, window_size
from mcuprof.ops.scheme import scheme
from mcuprof.ops.soundness import defects
from mcuprof.readers import read
from tests.corpus import Model, model, models, needs_shared
from tests.graphs import graph, op, tensor

REAL = [m for m in models() if m.row["format"] == "tflite" and m.row["kind"] in ("real", "derived", "synthetic")]
UNREADABLE = ("lfs_pointer_emza_yolo",)
# Their stored shapes are wrong: LiteRT resizes, TFLM refuses or aborts.
WRONG_IN_FILE = ("litert_svdf_quantized", "litert_unknown_dims")


@needs_shared
@pytest.mark.parametrize("entry", [m for m in REAL if m.name not in UNREADABLE], ids=lambda entry: entry.name)
def test_shapes_equal_the_stored_ones(entry: Model) -> None:
    g = read(entry.path)
    for number, item in enumerate(g.ops):
        shapes = output_shapes(g, item, tuple(g.tensors[i].shape if i >= 0 else () for i in item.inputs))
        for index, shape in zip(item.outputs, shapes or (), strict=False):
            stored = g.tensors[index]
            if stored.shape != shape and stored.elements != 1:  # scalars are stored as () or (1,)
                assert entry.name in WRONG_IN_FILE, (number, item.kind, shape, stored.shape)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "dilation", "padding", "out"),
    [
        # TensorFlow's definition: SAME ceil(n/s); VALID ceil((n - (k-1)d) / s).
        (96, 3, 2, 1, "SAME", 48),
        (97, 3, 2, 1, "SAME", 49),
        (96, 3, 2, 1, "VALID", 47),
        (10, 3, 1, 2, "VALID", 6),
        (5, 5, 1, 1, "VALID", 1),
        (4, 5, 1, 1, "VALID", 0),
    ],
)
def test_window_size(size: int, kernel: int, stride: int, dilation: int, padding: str, out: int) -> None:
    assert window_size(size, kernel, stride, dilation, padding) == out


def test_same_padding_puts_the_odd_cell_at_the_end() -> None:
    """An even input with stride 2 and a 3-wide kernel: one cell of padding, below and right (TFLite)."""
    tensors = [tensor("x", (1, 96, 96, 3)), tensor("w", (8, 3, 3, 3), data=bytes(216)), tensor("y", (1, 48, 48, 8))]
    conv = op("CONV_2D", (0, 1), (2,), {"stride_h": 2, "stride_w": 2, "padding": "SAME"})
    w = window(graph(tensors, [conv], (0,), (2,)), conv)
    assert (w.pad_top, w.pad_left, w.pad_bottom, w.pad_right) == (0, 0, 1, 1)
    assert w.macs == 48 * 48 * 8 * 27


def test_grouped_convolution_counts_only_its_group() -> None:
    """Grouped convolution in TFLite is told by the filter's depth: 8 channels, filters of depth 4, 2 groups."""
    tensors = [tensor("x", (1, 4, 4, 8)), tensor("w", (6, 1, 1, 4), data=bytes(24)), tensor("y", (1, 4, 4, 6))]
    conv = op("CONV_2D", (0, 1), (2,), {"padding": "VALID"})
    g = graph(tensors, [conv], (0,), (2,))
    assert window(g, conv).groups == 2
    assert macs(g, conv) == 16 * 6 * 4


def test_onnx_layout_gives_the_same_window() -> None:
    nchw: dict[str, Attribute] = {
        "layout": "NCHW",
        "stride_h": 2,
        "stride_w": 2,
        "padding": "EXPLICIT",
        "pads": (0, 0, 1, 1),
    }
    tensors = [tensor("x", (1, 3, 96, 96)), tensor("w", (8, 3, 3, 3), data=bytes(216)), tensor("y", (1, 8, 48, 48))]
    conv = op("CONV_2D", (0, 1), (2,), nchw)
    g = graph(tensors, [conv], (0,), (2,))
    assert output_shapes(g, conv, ((1, 3, 96, 96), (8, 3, 3, 3))) == ((1, 8, 48, 48),)
    assert window(g, conv).macs == 48 * 48 * 8 * 27


def test_wrong_operands_are_a_model_error() -> None:
    tensors = [tensor("x", (10,)), tensor("s", (1,), DType.INT32, data=b"\x03\0\0\0"), tensor("y", (3,))]
    reshape = op("RESHAPE", (0, 1), (2,))
    with pytest.raises(ModelError, match="RESHAPE of 10 elements to 3"):
        output_shapes(graph(tensors, [reshape], (0,), (2,)), reshape, ((10,), (1,)))


def test_opaque_operators_have_sizes_but_no_macs() -> None:
    strange = op("CUSTOM:Strange", (0,), (1,))
    g = graph([tensor("x", (8,)), tensor("y", (8,))], [strange], (0,), (1,))
    assert not is_known(strange)
    assert (macs(g, strange), output_shapes(g, strange, ((8,),))) == (0, None)


@needs_shared
def test_parameters_of_resnet8() -> None:
    """77,360 int8 weights (notes/measurements.md) and one int32 bias per output channel."""
    g = read(model("mlperf_ic_resnet8_int8").path)
    biases = sum(g.input(item, 2).elements for item in g.ops if item.kind in ("CONV_2D", "FULLY_CONNECTED"))
    assert parameters(g) == 77_360 + biases


@needs_shared
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mlperf_ad01_int8", "int8"),
        ("mlperf_vww_mbv1_int8", "int8 per-channel"),
        ("mlperf_ic_resnet8_fp32", "float32"),
        ("mlperf_toycar_hybrid", "hybrid int8 weights"),
        ("drv_resnet8_static_wi8_ai16", "int16x8 per-channel"),
        ("t2o_mbv1_025_uint8", "uint8"),
    ],
)
def test_scheme(name: str, expected: str) -> None:
    """The index's own description of each model, in mcuprof's words."""
    assert scheme(read(model(name).path)) == expected


@needs_shared
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("bad_scale_zero", "has the scale 0"),
        ("bad_scale_nan", "has the scale nan"),
        ("bad_scale_neg", "has the scale -"),
        ("bad_perch_len_mismatch", "3 scales"),
        ("bad_stride_zero", "stride or dilation of 0"),
        ("bad_reverse_order", "before operator"),
        ("bad_no_operators", "never written"),
        ("bad_zero_dim", "0x49x40x1"),
        ("bad_huge_input", "2000000000 elements"),
    ],
)
def test_defects_are_named(name: str, message: str) -> None:
    found = [defect for defect in defects(read(model(name).path)) if defect.fatal]
    assert any(message in defect.message for defect in found), found


@needs_shared
@pytest.mark.parametrize("entry", [m for m in REAL if m.row["runs_tflm"] == "yes"], ids=lambda entry: entry.name)
def test_models_that_run_have_no_fatal_defect(entry: Model) -> None:
    assert [defect for defect in defects(read(entry.path)) if defect.fatal] == []
