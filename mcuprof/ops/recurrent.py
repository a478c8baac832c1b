"""Recurrent operators: LSTM, SVDF, RNN, GRU. Their shapes are as stored; their MACs are products with every weight.

A weight matrix is applied once per time step and batch entry, so the MACs of a recurrent operator are the elements of
its matrices × steps × batch. That holds for TFLite's separate matrices and for ONNX's stacked ones.
"""

from __future__ import annotations

from mcuprof.graph import Graph, Op, Shape
from mcuprof.ops.kernel import is_onnx
from mcuprof.ops.lstm import prepare_lstm
from mcuprof.ops.onnx_gru import prepare_onnx_gru
from mcuprof.ops.onnx_lstm import prepare_onnx_lstm
from mcuprof.ops.onnx_rnn import prepare_onnx_rnn
from mcuprof.ops.operator import InputShapes, Operator, as_stored
from mcuprof.ops.svdf import prepare_svdf

# Inputs that hold weight matrices. TFLite: four input, four recurrent, one projection; stacked everywhere else.
_TFLITE_LSTM_MATRICES = (*range(1, 9), 16)
_STACKED_MATRICES = (1, 2)
_MOST_STACKED_INPUTS = 8  # ONNX LSTM: x, W, R, B, lengths, h, c, peepholes


def recurrent_macs(graph: Graph, op: Op) -> int:
    """Elements of the weight matrices × steps × batch: every dimension of x but the last (features)."""
    x = graph.input(op, 0)
    rows = x.elements // max(1, x.shape[-1]) if x.shape else 0
    stacked = is_onnx(graph) or len(op.inputs) <= _MOST_STACKED_INPUTS
    positions = _STACKED_MATRICES if stacked else _TFLITE_LSTM_MATRICES
    matrices = (graph.tensor(op, position) for position in positions)
    return rows * sum(matrix.elements for matrix in matrices if matrix is not None)


def svdf_shapes(graph: Graph, op: Op, inputs: InputShapes) -> tuple[Shape, ...]:
    """[batch, filters / rank]."""
    return ((inputs[0][0], inputs[1][0] // max(1, op.integer("rank", 1))),)


def svdf_macs(graph: Graph, op: Op) -> int:
    """Per batch entry: features (filters × in) and time (filters × memory); weights are inputs 1 and 2."""
    x = graph.input(op, 0)
    return x.shape[0] * (graph.input(op, 1).elements + graph.input(op, 2).elements)


OPERATORS = (
    Operator("UNIDIRECTIONAL_SEQUENCE_LSTM", as_stored, recurrent_macs, prepare_lstm),
    Operator("BIDIRECTIONAL_SEQUENCE_LSTM", as_stored, recurrent_macs),
    Operator("LSTM", as_stored, recurrent_macs, prepare_onnx_lstm),
    Operator("GRU", as_stored, recurrent_macs, prepare_onnx_gru),
    Operator("RNN", as_stored, recurrent_macs, prepare_onnx_rnn),
    Operator("UNIDIRECTIONAL_SEQUENCE_RNN", as_stored, recurrent_macs),
    Operator("SVDF", svdf_shapes, svdf_macs, prepare_svdf),
)
