"""Rows of the table of executed overlap distances as one-operator graphs."""

from __future__ import annotations

from mcuprof.graph import DType, Graph, Op, Tensor

KINDS = {
    "conv": "CONV_2D",
    "dwconv": "DEPTHWISE_CONV_2D",
    "fc": "FULLY_CONNECTED",
    "add": "ADD",
    "mul": "MUL",
    "avgpool": "AVERAGE_POOL_2D",
    "maxpool": "MAX_POOL_2D",
    "softmax": "SOFTMAX",
}


def graph_of(row: dict[str, str]) -> tuple[Graph, Op]:
    """The one-operator graph that a row of the table describes; s4 means 4-bit weights and 8-bit activations."""
    family, width = row["kernel"].split("_")
    kind, dtype = KINDS[family], DType.INT16 if width == "s16" else DType.INT8
    weights = DType.INT4 if width == "s4" else DType.INT8
    names = ("in_h", "in_w", "in_c", "out_h", "out_w", "out_c", "k_h", "k_w", "stride_h", "stride_w", "pad_h", "pad_w")
    n = {name: int(row[name]) for name in names}
    x = Tensor("x", (1, n["in_h"], n["in_w"], n["in_c"]), dtype)
    y = Tensor("y", (1, n["out_h"], n["out_w"], n["out_c"]), dtype)
    others = {
        "CONV_2D": [Tensor("w", (n["out_c"], n["k_h"], n["k_w"], n["in_c"]), weights, data=memoryview(b""))],
        "DEPTHWISE_CONV_2D": [Tensor("w", (1, n["k_h"], n["k_w"], n["out_c"]), weights, data=memoryview(b""))],
        "FULLY_CONNECTED": [Tensor("w", (n["out_c"], x.elements), weights, data=memoryview(b""))],
        "ADD": [x],
        "MUL": [x],
    }.get(kind, [])
    attributes: dict[str, str | int | tuple[int, ...]] = {
        "stride_h": n["stride_h"],
        "stride_w": n["stride_w"],
        "padding": "EXPLICIT",
        "pads": (n["pad_h"], n["pad_w"], 0, 0),
    }
    if kind.endswith("POOL_2D"):
        attributes |= {"filter_h": n["k_h"], "filter_w": n["k_w"]}
    tensors = (x, *others, y)
    op = Op(kind, tuple(range(len(tensors) - 1)), (len(tensors) - 1,), attributes)
    return Graph("row", tensors, (op,), (0,), (len(tensors) - 1,)), op
