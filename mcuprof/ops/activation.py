"""Unary functions of one tensor: activations, element-wise math, normalisations. The output has the input's shape."""

from __future__ import annotations

from mcuprof.ops.operator import Operator, broadcast, same_shape

POINTWISE = (
    *("RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1", "LEAKY_RELU", "ELU", "GELU", "HARD_SWISH", "LOGISTIC", "TANH"),
    *("ABS", "NEG", "SIGN", "ROUND", "CEIL", "FLOOR", "EXP", "LOG", "SQRT", "RSQRT", "SQUARE", "SIN", "COS"),
    *("LOGICAL_NOT", "RIGHT_SHIFT", "CAST", "BITCAST", "ZEROS_LIKE"),
)
ALONG_AN_AXIS = ("SOFTMAX", "LOG_SOFTMAX", "L2_NORMALIZATION", "LOCAL_RESPONSE_NORMALIZATION", "CUMSUM")

OPERATORS = (
    *(Operator(kind, same_shape) for kind in (*POINTWISE, *ALONG_AN_AXIS)),
    Operator("PRELU", broadcast),
)
