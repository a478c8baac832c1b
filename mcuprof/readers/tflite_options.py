"""Operator options of the TFLite schema → attribute names of `ops/`.

One row per operator kind: the options table in the schema and, per attribute, the accessor of the generated class.
Kinds without a row have no options that mcuprof uses; `writers/tflite_model.py` reads the rows the other way round.
"""

from __future__ import annotations

from collections.abc import Mapping

from mcuprof.graph import Attribute

PADDING = ("SAME", "VALID")
ACTIVATION = ("NONE", "RELU", "RELU_N1_TO_1", "RELU6", "TANH", "SIGN_BIT")

_WINDOW = {"stride_h": "StrideH", "stride_w": "StrideW", "padding": "Padding"}
_DILATION = {"dilation_h": "DilationHFactor", "dilation_w": "DilationWFactor"}
_FUSED = {"activation": "FusedActivationFunction"}
_POOL = ("Pool2DOptions", {**_WINDOW, "filter_h": "FilterHeight", "filter_w": "FilterWidth", **_FUSED})
_REDUCE = ("ReducerOptions", {"keep_dims": "KeepDims"})
_ARG = {"output_type": "OutputType"}
_BIAS = {"bias_type": "QuantizedBiasType"}
_HYBRID = {"asymmetric_inputs": "AsymmetricQuantizeInputs"}

OPTIONS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "ADD": ("AddOptions", {**_FUSED, "pot_scale_int16": "PotScaleInt16"}),
    "ARG_MAX": ("ArgMaxOptions", _ARG),
    "ARG_MIN": ("ArgMinOptions", _ARG),
    "ASSIGN_VARIABLE": ("AssignVariableOptions", {}),
    "AVERAGE_POOL_2D": _POOL,
    "BATCH_MATMUL": ("BatchMatMulOptions", {"adj_x": "AdjX", "adj_y": "AdjY", **_HYBRID}),
    "CALL_ONCE": ("CallOnceOptions", {"init_subgraph": "InitSubgraphIndex"}),
    "CAST": ("CastOptions", {}),
    "CONCATENATION": ("ConcatenationOptions", {"axis": "Axis", **_FUSED}),
    "CONV_2D": ("Conv2DOptions", {**_WINDOW, **_DILATION, **_FUSED, **_BIAS}),
    "CUMSUM": ("CumsumOptions", {"exclusive": "Exclusive", "reverse": "Reverse"}),
    "DEPTHWISE_CONV_2D": (
        "DepthwiseConv2DOptions",
        {**_WINDOW, **_DILATION, **_FUSED, "multiplier": "DepthMultiplier"},
    ),
    "DEPTH_TO_SPACE": ("DepthToSpaceOptions", {"block_size": "BlockSize"}),
    "DIV": ("DivOptions", _FUSED),
    "FULLY_CONNECTED": (
        "FullyConnectedOptions",
        {**_FUSED, "weights_format": "WeightsFormat", "keep_num_dims": "KeepNumDims", **_HYBRID, **_BIAS},
    ),
    "GATHER": ("GatherOptions", {"axis": "Axis", "batch_dims": "BatchDims"}),
    "GELU": ("GeluOptions", {"approximate": "Approximate"}),
    "IF": ("IfOptions", {"then_subgraph": "ThenSubgraphIndex", "else_subgraph": "ElseSubgraphIndex"}),
    "L2_NORMALIZATION": ("L2NormOptions", _FUSED),
    "L2_POOL_2D": _POOL,
    "LEAKY_RELU": ("LeakyReluOptions", {"alpha": "Alpha"}),
    "LSTM": (
        "LSTMOptions",
        {**_FUSED, "cell_clip": "CellClip", "proj_clip": "ProjClip", "kernel_type": "KernelType", **_HYBRID},
    ),
    "MAX_POOL_2D": _POOL,
    "MEAN": _REDUCE,
    "MIRROR_PAD": ("MirrorPadOptions", {"mode": "Mode"}),
    "MUL": ("MulOptions", _FUSED),
    "ONE_HOT": ("OneHotOptions", {"axis": "Axis"}),
    "PACK": ("PackOptions", {"axis": "Axis", "values": "ValuesCount"}),
    "REDUCE_ALL": _REDUCE,
    "REDUCE_ANY": _REDUCE,
    "REDUCE_MAX": _REDUCE,
    "REDUCE_MIN": _REDUCE,
    "REDUCE_PROD": _REDUCE,
    "RESHAPE": ("ReshapeOptions", {"new_shape": "NewShape"}),
    "RESIZE_BILINEAR": (
        "ResizeBilinearOptions",
        {"align_corners": "AlignCorners", "half_pixel_centers": "HalfPixelCenters"},
    ),
    "RESIZE_NEAREST_NEIGHBOR": (
        "ResizeNearestNeighborOptions",
        {"align_corners": "AlignCorners", "half_pixel_centers": "HalfPixelCenters"},
    ),
    "SHAPE": ("ShapeOptions", {"output_type": "OutType"}),
    "SOFTMAX": ("SoftmaxOptions", {"beta": "Beta"}),
    "SPACE_TO_DEPTH": ("SpaceToDepthOptions", {"block_size": "BlockSize"}),
    "SPLIT": ("SplitOptions", {"splits": "NumSplits"}),
    "SPLIT_V": ("SplitVOptions", {"splits": "NumSplits"}),
    "SQUEEZE": ("SqueezeOptions", {"axes": "SqueezeDims"}),
    "STRIDED_SLICE": (
        "StridedSliceOptions",
        {
            "begin_mask": "BeginMask",
            "end_mask": "EndMask",
            "ellipsis_mask": "EllipsisMask",
            "new_axis_mask": "NewAxisMask",
            "shrink_axis_mask": "ShrinkAxisMask",
        },
    ),
    "SUB": ("SubOptions", {**_FUSED, "pot_scale_int16": "PotScaleInt16"}),
    "SUM": _REDUCE,
    "SVDF": ("SVDFOptions", {"rank": "Rank", **_FUSED, **_HYBRID}),
    "TRANSPOSE_CONV": ("TransposeConvOptions", {**_WINDOW, **_FUSED, **_BIAS}),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": (
        "UnidirectionalSequenceLSTMOptions",
        {**_FUSED, "cell_clip": "CellClip", "proj_clip": "ProjClip", "time_major": "TimeMajor", **_HYBRID},
    ),
    "UNIDIRECTIONAL_SEQUENCE_RNN": ("SequenceRNNOptions", {**_FUSED, "time_major": "TimeMajor", **_HYBRID}),
    "UNPACK": ("UnpackOptions", {"axis": "Axis", "values": "Num"}),
    "VAR_HANDLE": ("VarHandleOptions", {"container": "Container", "shared_name": "SharedName"}),
    "WHILE": ("WhileOptions", {"cond_subgraph": "CondSubgraphIndex", "body_subgraph": "BodySubgraphIndex"}),
}


def attribute(name: str, value: Attribute) -> Attribute:
    """One schema value under its attribute `name`: enums become words.

    Raises ValueError for a padding or activation that the schema does not know.
    """
    if name == "padding":
        return _word(PADDING, value)
    if name == "activation":
        return _word(ACTIVATION, value)
    return value


def _word(words: tuple[str, ...], value: Attribute) -> str:
    if not isinstance(value, int) or not 0 <= value < len(words):
        raise ValueError(f"enum value {value!r} is not in the schema")
    return words[value]
