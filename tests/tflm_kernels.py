"""One operator of each kind that TFLM runs, as a model of its own: what tests ask the real kernels one by one.

`of_type` gives the same models with other element types.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from tests.tflite_models import O, T

I8, F32, I16 = T((2, 4, 4, 8), "int8", (0.05,), (3,)), T((2, 4, 4, 8), "float32"), T((2, 4, 4, 8), "int16", (0.05,))


def ints(*values: int) -> T:
    return T((len(values),), "int32", data=list(values))


def of(x: T, *shape: int) -> T:
    return T(shape, x.dtype, x.scale, x.zero)


Case = tuple[list[T], O]


def case(
    kind: str, inputs: list[T], outputs: list[T], options: str = "", fields: Mapping[str, Any] | None = None
) -> Case:
    last = len(inputs)
    return [*inputs, *outputs], O(kind, range(last), range(last, last + len(outputs)), options, fields)


def unary(kind: str, x: T, options: str = "", fields: Mapping[str, Any] | None = None) -> Case:
    return case(kind, [x], [x], options, fields)


def cases() -> dict[str, Case]:
    """By name, which begins with the operator's kind."""
    found: dict[str, Case] = {}

    def add(name: str, made: Case) -> None:
        found[name] = made

    for kind in (
        *("EXP", "FLOOR", "CEIL", "ROUND", "NEG", "SIN", "COS", "LOG", "SQRT", "SQUARE", "RSQRT", "ABS", "ELU"),
        *("RELU", "RELU6", "LOGISTIC", "TANH", "HARD_SWISH", "L2_NORMALIZATION", "LOG_SOFTMAX", "ZEROS_LIKE"),
    ):
        add(f"{kind} float", unary(kind, F32))
    for kind in ("RSQRT", "ABS", "RELU", "RELU6", "HARD_SWISH", "ELU"):
        add(f"{kind} int8", unary(kind, I8))
    for kind in ("RSQRT", "ABS"):
        add(f"{kind} int16", unary(kind, I16))
    add("L2_NORMALIZATION int8", case("L2_NORMALIZATION", [I8], [T(I8.shape, "int8", (1 / 128,), (0,))]))
    add("LOG_SOFTMAX int8", case("LOG_SOFTMAX", [I8], [T(I8.shape, "int8", (16 / 256,), (127,))]))
    add("LEAKY_RELU float", unary("LEAKY_RELU", F32, "LeakyReluOptions", {"Alpha": 0.1}))
    add("LEAKY_RELU int8", unary("LEAKY_RELU", I8, "LeakyReluOptions", {"Alpha": 0.1}))
    add("PRELU int8", case("PRELU", [I8, T((1, 1, 8), "int8", (0.1,), (0,), np.ones((1, 1, 8)))], [I8]))
    for kind, options in (
        *(("ADD", "AddOptions"), ("SUB", "SubOptions"), ("MUL", "MulOptions"), ("DIV", "DivOptions")),
        *(("SQUARED_DIFFERENCE", ""), ("MAXIMUM", ""), ("MINIMUM", ""), ("FLOOR_DIV", ""), ("FLOOR_MOD", "")),
    ):
        add(f"{kind} float", case(kind, [F32, F32], [F32], options, {} if options else None))
        if not kind.startswith("FLOOR"):
            add(f"{kind} int8", case(kind, [I8, I8], [I8], options, {} if options else None))
    flags = T(I8.shape, "bool")
    for kind in ("EQUAL", "NOT_EQUAL", "LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL"):
        for x in (F32, I8):
            add(f"{kind} {x.dtype}", case(kind, [x, x], [flags]))
    for kind in ("LOGICAL_AND", "LOGICAL_OR"):
        add(kind, case(kind, [flags, flags], [flags]))
    add("LOGICAL_NOT", unary("LOGICAL_NOT", flags))
    add("SELECT_V2", case("SELECT_V2", [flags, I8, I8], [I8]))
    for kind in ("ARG_MAX", "ARG_MIN"):
        add(kind, case(kind, [I8, ints(3)], [T((2, 4, 4), "int32")], "ArgMaxOptions", {"OutputType": 2}))
    for kind in ("SUM", "MEAN", "REDUCE_MAX", "REDUCE_MIN"):
        for x in (F32, I8):
            add(f"{kind} {x.dtype}", case(kind, [x, ints(1, 2)], [of(x, 2, 8)], "ReducerOptions", {"KeepDims": False}))
    add(
        "REDUCE_ALL",
        case("REDUCE_ALL", [flags, ints(1, 2)], [T((2, 8), "bool")], "ReducerOptions", {"KeepDims": False}),
    )
    for kind, options in (
        ("AVERAGE_POOL_2D", "Pool2DOptions"),
        ("MAX_POOL_2D", "Pool2DOptions"),
        ("L2_POOL_2D", "Pool2DOptions"),
    ):
        x = F32 if kind.startswith("L2") else I8
        window = {"Padding": 1, "StrideW": 2, "StrideH": 2, "FilterWidth": 2, "FilterHeight": 2}
        add(kind, case(kind, [x], [of(x, 2, 2, 2, 8)], options, window))
    add("CUMSUM float", case("CUMSUM", [F32, T((), "int32", data=1)], [F32], "CumsumOptions", {}))
    add("CUMSUM int8", case("CUMSUM", [I8, T((), "int32", data=1)], [I8], "CumsumOptions", {}))
    add("ADD_N float", case("ADD_N", [F32, F32, F32], [F32], "AddNOptions", {}))
    add("ADD_N int8", case("ADD_N", [I8, I8, I8], [I8], "AddNOptions", {}))
    add("BROADCAST_TO", case("BROADCAST_TO", [of(I8, 1, 1, 1, 8), ints(2, 4, 4, 8)], [I8]))
    add("BROADCAST_ARGS", case("BROADCAST_ARGS", [T((4,), "int32"), T((4,), "int32")], [T((4,), "int32")]))
    add(
        "MIRROR_PAD",
        case(
            "MIRROR_PAD",
            [I8, T((4, 2), "int32", data=[[0, 0], [1, 1], [1, 1], [0, 0]])],
            [of(I8, 2, 6, 6, 8)],
            "MirrorPadOptions",
            {"Mode": 0},
        ),
    )
    add("PAD", case("PAD", [I8, T((4, 2), "int32", data=[[0, 0], [1, 1], [1, 1], [0, 0]])], [of(I8, 2, 6, 6, 8)]))
    add(
        "PADV2",
        case(
            "PADV2",
            [I8, T((4, 2), "int32", data=[[0, 0], [1, 1], [1, 1], [0, 0]]), T((), "int8", (0.05,), (3,), 5)],
            [of(I8, 2, 6, 6, 8)],
        ),
    )
    add("DEPTH_TO_SPACE", case("DEPTH_TO_SPACE", [I8], [of(I8, 2, 8, 8, 2)], "DepthToSpaceOptions", {"BlockSize": 2}))
    add("SPACE_TO_DEPTH", case("SPACE_TO_DEPTH", [I8], [of(I8, 2, 2, 2, 32)], "SpaceToDepthOptions", {"BlockSize": 2}))
    crops = T((2, 2), "int32", data=[[0, 0], [0, 0]])
    add("SPACE_TO_BATCH_ND", case("SPACE_TO_BATCH_ND", [I8, ints(2, 2), crops], [of(I8, 8, 2, 2, 8)]))
    add("BATCH_TO_SPACE_ND", case("BATCH_TO_SPACE_ND", [of(I8, 8, 2, 2, 8), ints(2, 2), crops], [I8]))
    add("FILL", case("FILL", [ints(2, 4), T((), "int8", data=5)], [T((2, 4), "int8")]))
    add("GATHER", case("GATHER", [I8, ints(1, 0)], [I8], "GatherOptions", {"Axis": 0}))
    add("GATHER_ND", case("GATHER_ND", [I8, T((2, 1), "int32", data=[[1], [0]])], [I8]))
    add("DYNAMIC_UPDATE_SLICE", case("DYNAMIC_UPDATE_SLICE", [I8, of(I8, 1, 4, 4, 8), ints(0, 0, 0, 0)], [I8]))
    add(
        "EMBEDDING_LOOKUP float",
        case(
            "EMBEDDING_LOOKUP", [T((3,), "int32"), T((5, 8), "float32", data=np.zeros((5, 8)))], [T((3, 8), "float32")]
        ),
    )
    add(
        "EMBEDDING_LOOKUP int8",
        case(
            "EMBEDDING_LOOKUP",
            [T((3,), "int32"), T((5, 8), "int8", (0.1,), (0,), np.zeros((5, 8)))],
            [T((3, 8), "float32")],
        ),
    )
    add("SHAPE", case("SHAPE", [I8], [T((4,), "int32")], "ShapeOptions", {"OutType": 2}))
    add("REVERSE_V2", case("REVERSE_V2", [I8, ints(1)], [I8]))
    add("SLICE", case("SLICE", [I8, ints(0, 0, 0, 0), ints(1, 2, 2, 8)], [of(I8, 1, 2, 2, 8)]))
    add("PACK", case("PACK", [I8, I8], [of(I8, 2, 2, 4, 4, 8)], "PackOptions", {"ValuesCount": 2, "Axis": 0}))
    add("UNPACK", case("UNPACK", [I8], [of(I8, 4, 4, 8)] * 2, "UnpackOptions", {"Num": 2, "Axis": 0}))
    add(
        "SPLIT", case("SPLIT", [T((), "int32", data=0), I8], [of(I8, 1, 4, 4, 8)] * 2, "SplitOptions", {"NumSplits": 2})
    )
    add(
        "SPLIT_V",
        case(
            "SPLIT_V",
            [I8, ints(1, 1), T((), "int32", data=0)],
            [of(I8, 1, 4, 4, 8)] * 2,
            "SplitVOptions",
            {"NumSplits": 2},
        ),
    )
    add("TRANSPOSE", case("TRANSPOSE", [I8, ints(1, 0, 2, 3)], [of(I8, 4, 2, 4, 8)]))
    add("SQUEEZE", case("SQUEEZE", [of(I8, 1, 4)], [of(I8, 4)], "SqueezeOptions", {}))
    add("EXPAND_DIMS", case("EXPAND_DIMS", [of(I8, 4), T((), "int32", data=0)], [of(I8, 1, 4)]))
    for kind in ("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"):
        options = "ResizeBilinearOptions" if "LINEAR" in kind else "ResizeNearestNeighborOptions"
        add(kind, case(kind, [I8, ints(8, 8)], [of(I8, 2, 8, 8, 8)], options, {}))
    add(
        "CAST",
        case("CAST", [T((4,), "int32")], [T((4,), "float32")], "CastOptions", {"InDataType": 2, "OutDataType": 0}),
    )
    for name, x in (
        ("float", T((2, 3, 4), "float32")),
        ("int8", T((2, 3, 4), "int8", (0.1,), (1,))),
        ("int16", T((2, 3, 4), "int16", (0.1,))),
    ):
        y, out = of(x, 2, 4, 5), of(x, 2, 3, 5)
        add(f"BATCH_MATMUL {name}", case("BATCH_MATMUL", [x, y], [out], "BatchMatMulOptions", {}))
        add(
            f"BATCH_MATMUL {name} y",
            case("BATCH_MATMUL", [x, of(x, 2, 5, 4)], [out], "BatchMatMulOptions", {"AdjY": True}),
        )
        add(
            f"BATCH_MATMUL {name} x",
            case("BATCH_MATMUL", [of(x, 2, 4, 3), y], [out], "BatchMatMulOptions", {"AdjX": True}),
        )
        add(
            f"BATCH_MATMUL {name} both",
            case(
                "BATCH_MATMUL",
                [of(x, 2, 4, 3), of(x, 2, 5, 4)],
                [out],
                "BatchMatMulOptions",
                {"AdjX": True, "AdjY": True},
            ),
        )
    for dtype, bias_type in (("int8", "int32"), ("int16", "int64"), ("float32", "float32")):
        add(f"TRANSPOSE_CONV {dtype}", transposed(dtype, bias_type))
    for name, made in signal_cases().items():
        add(f"CUSTOM:Signal{name}", made)
    found |= detection_cases()
    return found


def transposed(dtype: str, bias_type: str) -> Case:
    x, out = T((1, 4, 4, 3), dtype, (0.1,), (0,)), T((1, 8, 8, 5), dtype, (0.1,), (0,))
    weights, bias = np.ones((5, 2, 2, 3)), np.zeros(5)
    zeros = (0,) * 5
    inputs = [
        ints(1, 8, 8, 5),
        T((5, 2, 2, 3), "int8", (0.1,) * 5, zeros, weights),
        x,
        T((5,), bias_type, (0.01,) * 5, zeros, bias),
    ]
    if dtype == "float32":
        out = T(out.shape, dtype)
        inputs[1:] = [T((5, 2, 2, 3), dtype, data=weights), T(x.shape, dtype), T((5,), dtype, data=bias)]
    fields = {"Padding": 1, "StrideW": 2, "StrideH": 2}
    return case("TRANSPOSE_CONV", inputs, [out], "TransposeConvOptions", fields)


def custom(kind: str, inputs: list[T], outputs: list[T], **options: int) -> Case:
    return case(f"CUSTOM:{kind}", inputs, outputs, "", options)


def signal_cases() -> dict[str, Case]:
    audio, flag, channels = T((3, 40), "int16"), T((), "bool"), T((5,), "uint32")
    tables = [T((32,), "int16", data=np.ones(32)) for _ in range(2)] + [T((6,), "int16", data=np.ones(6))] * 3
    smoothing = {
        "smoothing": 1,
        "one_minus_smoothing": 1,
        "alternate_smoothing": 1,
        "alternate_one_minus_smoothing": 1,
        "smoothing_bits": 1,
        "min_signal_remaining": 1,
        "clamping": 0,
        "spectral_subtraction_bits": 14,
    }
    found = {
        "Window": custom("SignalWindow", [audio, T((40,), "int16", data=np.ones(40))], [audio], shift=3),
        "FftAutoScale": custom("SignalFftAutoScale", [T((40,), "int16")], [T((40,), "int16"), T((), "int32")]),
        "Energy": custom("SignalEnergy", [T((66,), "int16")], [T((33,), "uint32")], start_index=1, end_index=9),
        "FilterBank": custom("SignalFilterBank", [T((33,), "uint32"), *tables], [T((5,), "uint64")], num_channels=5),
        "FilterBankSquareRoot": custom("SignalFilterBankSquareRoot", [T((5,), "uint64"), T((), "int32")], [channels]),
        "FilterBankSpectralSubtraction": custom(
            "SignalFilterBankSpectralSubtraction", [channels], [channels] * 2, num_channels=5, **smoothing
        ),
        "PCAN": custom("SignalPCAN", [channels] * 2 + [T((125,), "int16", data=np.ones(125))], [channels], snr_shift=6),
        "FilterBankLog": custom(
            "SignalFilterBankLog", [channels], [T((5,), "int16")], output_scale=64, input_correction_bits=3
        ),
        "Delay": custom("SignalDelay", [audio], [audio], delay_length=7),
        "Framer": custom(
            "SignalFramer", [audio], [T((3, 4, 15), "int16"), flag], frame_size=15, frame_step=10, prefill=1
        ),
        "Stacker": custom(
            "SignalStacker",
            [T((5,), "int16")],
            [T((20,), "int16"), flag],
            num_channels=5,
            stacker_left_context=2,
            stacker_right_context=1,
            stacker_step=2,
        ),
    }
    for dtype, number in (("int16", 7), ("int32", 2), ("float32", 0)):
        for power in (2, 3, 4, 7, 9):
            length = 1 << power
            samples, spectrum = T((3, length), dtype), T((3, length + 2), dtype)
            options = {"T": number, "fft_length": length}
            found[f"Rfft {dtype} {length}"] = custom("SignalRfft", [samples], [spectrum], **options)
            found[f"Irfft {dtype} {length}"] = custom("SignalIrfft", [spectrum], [samples], **options)
        if dtype != "int32":
            frames = [T((3, 2, 9), dtype)], [T((3, 8), dtype)]
            found[f"OverlapAdd {dtype}"] = custom("SignalOverlapAdd", *frames, T=number, frame_step=4)
    return found


def detection_cases() -> dict[str, Case]:
    found = {}
    for most, classes, boxes in ((10, 3, 40), (4, 9, 3)):
        inputs = [T((1, boxes, 4), "float32"), T((1, boxes, classes + 1), "float32"), T((boxes, 4), "float32")]
        inputs[2] = T((boxes, 4), "float32", data=np.ones((boxes, 4)))
        outputs = [T((1, most, 4), "float32"), *[T((1, most), "float32")] * 2, T((1,), "float32")]
        options: dict[str, Any] = {
            "max_detections": most,
            "max_classes_per_detection": 1,
            "num_classes": classes,
            "nms_score_threshold": 0.1,
            "nms_iou_threshold": 0.6,
            "use_regular_nms": False,
            "y_scale": 10.0,
            "x_scale": 10.0,
            "h_scale": 5.0,
            "w_scale": 5.0,
        }
        name = f"CUSTOM:TFLite_Detection_PostProcess {most} {boxes}"
        found[name] = custom("TFLite_Detection_PostProcess", inputs, outputs, **options)
    return found


CASES = cases()


def weighted() -> dict[str, Case]:
    """Operators with weights and concatenations on small tensors, where what Prepare looks at takes the most."""
    found: dict[str, Case] = {}
    for dtype, kind, bias_type in (
        ("float32", "float32", "float32"),
        ("int8", "int8", "int32"),
        ("int16", "int8", "int64"),
    ):
        x = T((1, 2, 2, 2), dtype, *_one_scale(dtype))
        for count in (1, 3, 16):
            for scales in {1, count} if dtype != "float32" else {0}:
                w = ((0.05,) * scales, (0,) * scales)
                for bias in ([], [T((count,), bias_type, (0.0025,) * scales, (0,) * scales, np.zeros(count))]):
                    name = f"{dtype} {count} channels {scales} scales {len(bias)} bias"
                    flat, made = (T(shape, dtype, *_one_scale(dtype)) for shape in ((1, 2), (1, count)))
                    dense = [flat, T((count, 2), kind, *w, np.ones((count, 2))), *bias]
                    found[f"FULLY_CONNECTED {name}"] = case(
                        "FULLY_CONNECTED", dense, [made], "FullyConnectedOptions", {}
                    )
                    out = of(x, 1, 2, 2, count)
                    filters = T((count, 1, 1, 2), kind, *w, np.ones((count, 1, 1, 2)))
                    found[f"CONV_2D {name}"] = case("CONV_2D", [x, filters, *bias], [out], "Conv2DOptions", _STEPS)
                    taps = T((1, 1, 1, count), kind, *w, np.ones((1, 1, 1, count)), 3)
                    depthwise = {**_STEPS, "DepthMultiplier": 1}
                    found[f"DEPTHWISE_CONV_2D {name}"] = case(
                        "DEPTHWISE_CONV_2D", [out, taps, *bias], [out], "DepthwiseConv2DOptions", depthwise
                    )
                    large, back = of(x, 1, 4, 4, count), T((count, 2, 2, 2), kind, *w, np.ones((count, 2, 2, 2)))
                    found[f"TRANSPOSE_CONV {name}"] = case(
                        "TRANSPOSE_CONV",
                        [ints(1, 4, 4, count), back, x, *bias],
                        [large],
                        "TransposeConvOptions",
                        {"StrideW": 2, "StrideH": 2},
                    )
        for count in (1, 2, 3, 8):
            parts = case("CONCATENATION", [x] * count, [of(x, count, 2, 2, 2)], "ConcatenationOptions", {"Axis": 0})
            found[f"CONCATENATION {dtype} {count}"] = parts
    return found


_STEPS = {"StrideW": 1, "StrideH": 1, "DilationWFactor": 1, "DilationHFactor": 1}


def _one_scale(dtype: str) -> tuple[tuple[float, ...], tuple[int, ...]]:
    return ((), ()) if dtype == "float32" else ((0.05,), (0,))


WEIGHTED = weighted()


TYPES = ("float32", "int8", "uint8", "int16", "int32", "int64", "bool", "uint32", "uint64")
QUANTIZED = ("int8", "uint8", "int16")
DATA = {"SELECT_V2": 1, "SPLIT": 1, "EMBEDDING_LOOKUP": 1, "TRANSPOSE_CONV": 2, "FILL": 1}
# Outputs whose quantization the kernel fixes.
FIXED = {
    ("LOGISTIC", "int8"): (1 / 256, -128),
    ("LOGISTIC", "int16"): (1 / 32768, 0),
    ("TANH", "int16"): (1 / 32768, 0),
    ("LOG_SOFTMAX", "int8"): (1 / 16, 127),
    ("SOFTMAX", "int8"): (1 / 256, -128),
    ("SOFTMAX", "int16"): (1 / 32768, 0),
}


def of_type(name: str, dtype: str, output: tuple[float, int] | None = None) -> Case:
    """A case with its data in another type; `output` is the output's scale and zero point where not the usual one."""
    tensors, op = CASES[name]
    data = op.inputs[DATA.get(op.kind, 0)]
    base = tensors[data].dtype
    made = []
    for index, tensor in enumerate(tensors):
        same = tensor.dtype == base and (tensor.data is None or bool(tensor.scale) or index == data)
        fixed = (output or FIXED.get((op.kind, dtype), (0.05, 0))) if index in op.outputs else (0.05, 0)
        made.append(retyped(tensor, dtype, fixed) if same else tensor)
    return made, op


def retyped(tensor: T, dtype: str, quantization: tuple[float, int] = (0.05, 0)) -> T:
    """The tensor with another type, quantized where such tensors are; tables of scales stay as they are."""
    if len(tensor.scale) > 1:
        return replace(tensor, dtype=dtype)
    scale, zero = quantization
    return replace(tensor, dtype=dtype, **_parameters(dtype, scale, zero))


def _parameters(dtype: str, scale: float, zero: int) -> dict[str, Any]:
    return {"scale": (scale,), "zero": (zero,)} if dtype in QUANTIZED else {"scale": (), "zero": ()}
