"""ONNX files → `Graph`.

`load` parses and checks the file, `shapes` folds constants and finds every shape (rewriting QOperator operators with
`qoperator`), `simplify` and `fuse` turn QDQ islands into integer operators, `convert` gives operators TFLite's names
and attributes, `emit` writes the `Graph`. `onnx` is imported only when a file is read.
"""

from __future__ import annotations

from collections.abc import Mapping

from mcuprof.graph import Graph, Shape
from mcuprof.limits import DEFAULT, ReadLimits
from mcuprof.readers.onnx.emit import emit
from mcuprof.readers.onnx.fuse import fuse
from mcuprof.readers.onnx.load import build, parse
from mcuprof.readers.onnx.net import Net
from mcuprof.readers.onnx.shapes import infer


def read_onnx(data: bytes, path: str, input_shapes: Mapping[str, Shape], limits: ReadLimits = DEFAULT) -> Graph:
    """The network in an ONNX file, QDQ and QOperator styles fused into integer operators.

    `path` is where the file came from (external data is looked up next to it; empty for none), `input_shapes` gives
    shapes to inputs whose dimensions are open, `limits` bound what is read of external data. Raises ModelError with one
    line (without the path).
    """
    import numpy as np

    model = parse(data)
    with np.errstate(all="ignore"):  # numbers that are none are refused where they matter, not warned of
        net = build(model, path, input_shapes, limits)
        infer(net)
        _fuse_all(net)
        return emit(net, model)


def _fuse_all(net: Net) -> None:
    fuse(net)
    for node in net.nodes:
        for body in node.bodies.values():
            _fuse_all(body)
