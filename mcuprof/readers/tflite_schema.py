"""What the reader needs of the TFLite schema (`schema.fbs`): slots of options tables, and names of operators.

The numbers are those of the schema; `tests/readers/test_tflite_schema.py` compares each with the accessors that
flatc generated from it (the `tflite` package, whose 187 modules would take longer to import than a model to read).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

# (slot, form, value when absent). Forms: b int8, ? bool, i int32, f float32, s string, [i] vector of int32.
Field: TypeAlias = "tuple[int, str, bool | int | float | None]"

# Options table → (its number in the union BuiltinOptions, fields by accessor).
TABLES: Mapping[str, tuple[int, Mapping[str, Field]]] = {
    "AddOptions": (11, {"FusedActivationFunction": (0, "b", 0), "PotScaleInt16": (1, "?", True)}),
    "ArgMaxOptions": (40, {"OutputType": (0, "b", 0)}),
    "ArgMinOptions": (57, {"OutputType": (0, "b", 0)}),
    "AssignVariableOptions": (113, {}),
    "BatchMatMulOptions": (
        101,
        {"AdjX": (0, "?", False), "AdjY": (1, "?", False), "AsymmetricQuantizeInputs": (2, "?", False)},
    ),
    "CallOnceOptions": (103, {"InitSubgraphIndex": (0, "i", 0)}),
    "CastOptions": (37, {}),
    "ConcatenationOptions": (10, {"Axis": (0, "i", 0), "FusedActivationFunction": (1, "b", 0)}),
    "Conv2DOptions": (
        1,
        {
            "Padding": (0, "b", 0),
            "StrideW": (1, "i", 0),
            "StrideH": (2, "i", 0),
            "FusedActivationFunction": (3, "b", 0),
            "DilationWFactor": (4, "i", 1),
            "DilationHFactor": (5, "i", 1),
            "QuantizedBiasType": (6, "b", 0),
        },
    ),
    "CumsumOptions": (102, {"Exclusive": (0, "?", False), "Reverse": (1, "?", False)}),
    "DepthToSpaceOptions": (94, {"BlockSize": (0, "i", 0)}),
    "DepthwiseConv2DOptions": (
        2,
        {
            "Padding": (0, "b", 0),
            "StrideW": (1, "i", 0),
            "StrideH": (2, "i", 0),
            "DepthMultiplier": (3, "i", 0),
            "FusedActivationFunction": (4, "b", 0),
            "DilationWFactor": (5, "i", 1),
            "DilationHFactor": (6, "i", 1),
        },
    ),
    "DivOptions": (29, {"FusedActivationFunction": (0, "b", 0)}),
    "FullyConnectedOptions": (
        8,
        {
            "FusedActivationFunction": (0, "b", 0),
            "WeightsFormat": (1, "b", 0),
            "KeepNumDims": (2, "?", False),
            "AsymmetricQuantizeInputs": (3, "?", False),
            "QuantizedBiasType": (4, "b", 0),
        },
    ),
    "GatherOptions": (23, {"Axis": (0, "i", 0), "BatchDims": (1, "i", 0)}),
    "GeluOptions": (116, {"Approximate": (0, "?", False)}),
    "IfOptions": (92, {"ThenSubgraphIndex": (0, "i", 0), "ElseSubgraphIndex": (1, "i", 0)}),
    "L2NormOptions": (12, {"FusedActivationFunction": (0, "b", 0)}),
    "LSTMOptions": (
        14,
        {
            "FusedActivationFunction": (0, "b", 0),
            "CellClip": (1, "f", 0.0),
            "ProjClip": (2, "f", 0.0),
            "KernelType": (3, "b", 0),
            "AsymmetricQuantizeInputs": (4, "?", False),
        },
    ),
    "LeakyReluOptions": (75, {"Alpha": (0, "f", 0.0)}),
    "MirrorPadOptions": (77, {"Mode": (0, "b", 0)}),
    "MulOptions": (21, {"FusedActivationFunction": (0, "b", 0)}),
    "OneHotOptions": (61, {"Axis": (0, "i", 0)}),
    "PackOptions": (59, {"ValuesCount": (0, "i", 0), "Axis": (1, "i", 0)}),
    "Pool2DOptions": (
        5,
        {
            "Padding": (0, "b", 0),
            "StrideW": (1, "i", 0),
            "StrideH": (2, "i", 0),
            "FilterWidth": (3, "i", 0),
            "FilterHeight": (4, "i", 0),
            "FusedActivationFunction": (5, "b", 0),
        },
    ),
    "ReducerOptions": (27, {"KeepDims": (0, "?", False)}),
    "ReshapeOptions": (17, {"NewShape": (0, "[i]", None)}),
    "ResizeBilinearOptions": (15, {"AlignCorners": (2, "?", False), "HalfPixelCenters": (3, "?", False)}),
    "ResizeNearestNeighborOptions": (74, {"AlignCorners": (0, "?", False), "HalfPixelCenters": (1, "?", False)}),
    "SVDFOptions": (
        6,
        {"Rank": (0, "i", 0), "FusedActivationFunction": (1, "b", 0), "AsymmetricQuantizeInputs": (2, "?", False)},
    ),
    "SequenceRNNOptions": (
        31,
        {
            "TimeMajor": (0, "?", False),
            "FusedActivationFunction": (1, "b", 0),
            "AsymmetricQuantizeInputs": (2, "?", False),
        },
    ),
    "ShapeOptions": (55, {"OutType": (0, "b", 0)}),
    "SoftmaxOptions": (9, {"Beta": (0, "f", 0.0)}),
    "SpaceToDepthOptions": (19, {"BlockSize": (0, "i", 0)}),
    "SplitOptions": (35, {"NumSplits": (0, "i", 0)}),
    "SplitVOptions": (79, {"NumSplits": (0, "i", 0)}),
    "SqueezeOptions": (30, {"SqueezeDims": (0, "[i]", None)}),
    "StridedSliceOptions": (
        32,
        {
            "BeginMask": (0, "i", 0),
            "EndMask": (1, "i", 0),
            "EllipsisMask": (2, "i", 0),
            "NewAxisMask": (3, "i", 0),
            "ShrinkAxisMask": (4, "i", 0),
        },
    ),
    "SubOptions": (28, {"FusedActivationFunction": (0, "b", 0), "PotScaleInt16": (1, "?", True)}),
    "TransposeConvOptions": (
        49,
        {
            "Padding": (0, "b", 0),
            "StrideW": (1, "i", 0),
            "StrideH": (2, "i", 0),
            "FusedActivationFunction": (3, "b", 0),
            "QuantizedBiasType": (4, "b", 0),
        },
    ),
    "UnidirectionalSequenceLSTMOptions": (
        71,
        {
            "FusedActivationFunction": (0, "b", 0),
            "CellClip": (1, "f", 0.0),
            "ProjClip": (2, "f", 0.0),
            "TimeMajor": (3, "?", False),
            "AsymmetricQuantizeInputs": (4, "?", False),
        },
    ),
    "UnpackOptions": (64, {"Num": (0, "i", 0), "Axis": (1, "i", 0)}),
    "VarHandleOptions": (111, {"Container": (0, "s", None), "SharedName": (1, "s", None)}),
    "WhileOptions": (93, {"CondSubgraphIndex": (0, "i", 0), "BodySubgraphIndex": (1, "i", 0)}),
}

# BuiltinOperator, in its order.
# fmt: off
OPERATORS = (
    "ADD", "AVERAGE_POOL_2D", "CONCATENATION", "CONV_2D", "DEPTHWISE_CONV_2D", "DEPTH_TO_SPACE", "DEQUANTIZE",
    "EMBEDDING_LOOKUP", "FLOOR", "FULLY_CONNECTED", "HASHTABLE_LOOKUP", "L2_NORMALIZATION", "L2_POOL_2D",
    "LOCAL_RESPONSE_NORMALIZATION", "LOGISTIC", "LSH_PROJECTION", "LSTM", "MAX_POOL_2D", "MUL", "RELU", "RELU_N1_TO_1",
    "RELU6", "RESHAPE", "RESIZE_BILINEAR", "RNN", "SOFTMAX", "SPACE_TO_DEPTH", "SVDF", "TANH", "CONCAT_EMBEDDINGS",
    "SKIP_GRAM", "CALL", "CUSTOM", "EMBEDDING_LOOKUP_SPARSE", "PAD", "UNIDIRECTIONAL_SEQUENCE_RNN", "GATHER",
    "BATCH_TO_SPACE_ND", "SPACE_TO_BATCH_ND", "TRANSPOSE", "MEAN", "SUB", "DIV", "SQUEEZE",
    "UNIDIRECTIONAL_SEQUENCE_LSTM", "STRIDED_SLICE", "BIDIRECTIONAL_SEQUENCE_RNN", "EXP", "TOPK_V2", "SPLIT",
    "LOG_SOFTMAX", "DELEGATE", "BIDIRECTIONAL_SEQUENCE_LSTM", "CAST", "PRELU", "MAXIMUM", "ARG_MAX", "MINIMUM", "LESS",
    "NEG", "PADV2", "GREATER", "GREATER_EQUAL", "LESS_EQUAL", "SELECT", "SLICE", "SIN", "TRANSPOSE_CONV",
    "SPARSE_TO_DENSE", "TILE", "EXPAND_DIMS", "EQUAL", "NOT_EQUAL", "LOG", "SUM", "SQRT", "RSQRT", "SHAPE", "POW",
    "ARG_MIN", "FAKE_QUANT", "REDUCE_PROD", "REDUCE_MAX", "PACK", "LOGICAL_OR", "ONE_HOT", "LOGICAL_AND", "LOGICAL_NOT",
    "UNPACK", "REDUCE_MIN", "FLOOR_DIV", "REDUCE_ANY", "SQUARE", "ZEROS_LIKE", "FILL", "FLOOR_MOD", "RANGE",
    "RESIZE_NEAREST_NEIGHBOR", "LEAKY_RELU", "SQUARED_DIFFERENCE", "MIRROR_PAD", "ABS", "SPLIT_V", "UNIQUE", "CEIL",
    "REVERSE_V2", "ADD_N", "GATHER_ND", "COS", "WHERE", "RANK", "ELU", "REVERSE_SEQUENCE", "MATRIX_DIAG", "QUANTIZE",
    "MATRIX_SET_DIAG", "ROUND", "HARD_SWISH", "IF", "WHILE", "NON_MAX_SUPPRESSION_V4", "NON_MAX_SUPPRESSION_V5",
    "SCATTER_ND", "SELECT_V2", "DENSIFY", "SEGMENT_SUM", "BATCH_MATMUL", "PLACEHOLDER_FOR_GREATER_OP_CODES", "CUMSUM",
    "CALL_ONCE", "BROADCAST_TO", "RFFT2D", "CONV_3D", "IMAG", "REAL", "COMPLEX_ABS", "HASHTABLE", "HASHTABLE_FIND",
    "HASHTABLE_IMPORT", "HASHTABLE_SIZE", "REDUCE_ALL", "CONV_3D_TRANSPOSE", "VAR_HANDLE", "READ_VARIABLE",
    "ASSIGN_VARIABLE", "BROADCAST_ARGS", "RANDOM_STANDARD_NORMAL", "BUCKETIZE", "RANDOM_UNIFORM", "MULTINOMIAL", "GELU",
    "DYNAMIC_UPDATE_SLICE", "RELU_0_TO_1", "UNSORTED_SEGMENT_PROD", "UNSORTED_SEGMENT_MAX", "UNSORTED_SEGMENT_SUM",
    "ATAN2", "UNSORTED_SEGMENT_MIN", "SIGN", "BITCAST", "BITWISE_XOR", "RIGHT_SHIFT", "STABLEHLO_LOGISTIC",
    "STABLEHLO_ADD", "STABLEHLO_DIVIDE", "STABLEHLO_MULTIPLY", "STABLEHLO_MAXIMUM", "STABLEHLO_RESHAPE",
    "STABLEHLO_CLAMP", "STABLEHLO_CONCATENATE", "STABLEHLO_BROADCAST_IN_DIM", "STABLEHLO_CONVOLUTION",
    "STABLEHLO_SLICE", "STABLEHLO_CUSTOM_CALL", "STABLEHLO_REDUCE", "STABLEHLO_ABS", "STABLEHLO_AND",
    "STABLEHLO_COSINE", "STABLEHLO_EXPONENTIAL", "STABLEHLO_FLOOR", "STABLEHLO_LOG", "STABLEHLO_MINIMUM",
    "STABLEHLO_NEGATE", "STABLEHLO_OR", "STABLEHLO_POWER", "STABLEHLO_REMAINDER", "STABLEHLO_RSQRT", "STABLEHLO_SELECT",
    "STABLEHLO_SUBTRACT", "STABLEHLO_TANH", "STABLEHLO_SCATTER", "STABLEHLO_COMPARE", "STABLEHLO_CONVERT",
    "STABLEHLO_DYNAMIC_SLICE", "STABLEHLO_DYNAMIC_UPDATE_SLICE", "STABLEHLO_PAD", "STABLEHLO_IOTA",
    "STABLEHLO_DOT_GENERAL", "STABLEHLO_REDUCE_WINDOW", "STABLEHLO_SORT", "STABLEHLO_WHILE", "STABLEHLO_GATHER",
    "STABLEHLO_TRANSPOSE", "DILATE", "STABLEHLO_RNG_BIT_GENERATOR", "REDUCE_WINDOW", "STABLEHLO_COMPOSITE",
    "STABLEHLO_SHIFT_LEFT", "STABLEHLO_CBRT",
)
# fmt: on
