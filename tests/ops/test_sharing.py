"""Declared distances of the reference kernels against executed minima and traces (overlap_distances.csv)."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from mcuprof.graph import DType, Graph, Op, Tensor
from mcuprof.ops.sharing import share
from tests.corpus import DATA, needs_shared
from tests.distances import graph_of

DISTANCES = DATA / "overlap_distances.csv"
REFERENCE_LIBRARIES = ("own reference loops", "esp-nn ansi", "esp-nn generic opt")


@needs_shared
def test_declared_distance_is_never_below_a_measured_one_and_tight_on_the_reference_loops() -> None:
    rows = [row for row in csv.DictReader(DISTANCES.open()) if row["library"] in REFERENCE_LIBRARIES]
    assert len(rows) == 412
    for row in rows:
        graph, op = graph_of(row)
        found = share(graph, op, "overlap", int(row["operand"]) - 1)
        assert found is not None and found.mode == "below", row
        declared = min(found.distance, int(row["out_bytes"]))
        measured = [int(row[name]) for name in ("measured_min_d", "trace_min_d") if row[name]]
        assert measured and declared >= max(measured), row
        assert declared == min(int(row["reference_rule_d"]), int(row["out_bytes"])), row


def simulate(reads: list[int], writes: list[int], distance: int) -> bool:
    """Whether an ascending kernel that reads input byte reads[e], then writes output byte writes[e], survives."""
    clobbered: set[int] = set()
    for read, write in zip(reads, writes, strict=True):
        if read >= 0 and read in clobbered:
            return False
        clobbered.add(write - distance)
    return True


@pytest.mark.parametrize(("shape", "before", "after"), [((1, 3, 4, 2), (0, 1, 2, 0), (0, 1, 1, 0)), ((5,), (3,), (1,))])
def test_pad_distance_is_the_smallest_that_a_raster_copy_survives(
    shape: tuple[int, ...], before: tuple[int, ...], after: tuple[int, ...]
) -> None:
    pairs = np.array(list(zip(before, after, strict=True)), "<i4")
    numbers = np.pad(np.arange(np.prod(shape)).reshape(shape), pairs, constant_values=-1)
    tensors = (
        Tensor("x", shape, DType.INT8),
        Tensor("p", pairs.shape, DType.INT32, data=memoryview(pairs.tobytes())),
        Tensor("y", numbers.shape, DType.INT8),
    )
    op = Op("PAD", (0, 1), (2,))
    found = share(Graph("pad", tensors, (op,), (0,), (2,)), op, "overlap", 0)
    reads, writes = numbers.ravel().tolist(), list(range(numbers.size))
    assert found is not None
    assert all(simulate(reads, writes, distance) for distance in range(found.distance, numbers.size + 1))
    assert not simulate(reads, writes, found.distance - 1)


def test_widening_output_waits_for_the_narrow_input() -> None:
    tensors = (Tensor("q", (8,), DType.INT8), Tensor("f", (8,), DType.FLOAT32))
    op = Op("DEQUANTIZE", (0,), (1,))
    graph = Graph("dequantize", tensors, (op,), (0,), (1,))
    found = share(graph, op, "overlap", 0)
    assert found is not None and found.distance == 21  # before element 7 is read, 28 bytes are written: 28 − 7
    assert share(graph, op, "elementwise", 0) is None


def test_a_broadcast_operand_and_channel_planes_share_nothing() -> None:
    tensors = (
        Tensor("x", (1, 4, 4, 2), DType.INT8),
        Tensor("b", (2,), DType.INT8),
        Tensor("y", (1, 4, 4, 2), DType.INT8),
    )
    add = Op("ADD", (0, 1), (2,))
    graph = Graph("add", tensors, (add,), (0, 1), (2,))
    assert share(graph, add, "overlap", 0) is not None
    assert share(graph, add, "overlap", 1) is None
    pool = Op("MAX_POOL_2D", (0,), (2,), {"layout": "NCHW", "filter_h": 1, "filter_w": 1})
    assert share(graph, pool, "overlap", 0) is None


def test_depthwise_needs_one_padded_channel() -> None:
    tensors = (
        Tensor("x", (1, 8, 8, 4), DType.INT8),
        Tensor("w", (1, 3, 3, 4), DType.INT8, data=memoryview(b"")),
        Tensor("y", (1, 8, 8, 4), DType.INT8),
    )
    op = Op("DEPTHWISE_CONV_2D", (0, 1), (2,), {"padding": "SAME", "stride_h": 1, "stride_w": 1})
    found = share(Graph("dw", tensors, (op,), (0,), (2,)), op, "depthwise", 0)
    assert found is not None and (found.mode, found.scratch) == ("exact", 100)
