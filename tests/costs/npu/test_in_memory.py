"""Arrays that multiply in memory, on layers whose tiles and conversions are counted by hand."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from mcuprof.costs import NoData
from mcuprof.costs.npu import ArrayEstimate, on_arrays
from mcuprof.graph import Graph
from mcuprof.hardware import ArrayTiles
from mcuprof.hardware.files import AcceleratorFile, FileError, parse
from tests.graphs import graph, op, tensor

EXAMPLE = """
name = "Example array"
vendor = "Nobody"

[array]
rows = 64
columns = 64
arrays = 4
conversion_cycles = 10
clock = "100MHz"
weight_bits = 8
cell_bits = 4
bits_per_conversion = 2
columns_per_converter = 8
load_cycles_per_row = 3

[sources]
array = "made up for this test"
"""


def dense(depth: int, units: int) -> Graph:
    weights = tensor("w", (units, depth), data=bytes(units * depth))
    tensors = [tensor("x", (1, depth)), weights, tensor("y", (1, units))]
    return graph(tensors, [op("FULLY_CONNECTED", [0, 1], [2])], [0], [2])


def example(**changes: float) -> ArrayTiles:
    file, _ = parse(Path("example.toml"), EXAMPLE, AcceleratorFile)
    assert file.array is not None
    return msgspec.structs.replace(file.array, **changes)


def test_a_layer_of_two_by_three_tiles() -> None:
    # 100 inputs: 2 tiles of 64 rows. 80 outputs of two 4-bit cells: 160 columns, 3 tiles of 64. 6 tiles on 4 arrays
    # are two passes. One vector, 8 bits by 2: 4 conversions, times 8 columns a converter, times 2 passes: 64, of 10
    # cycles each. Loading: 64 rows of 3 cycles, twice.
    found = on_arrays(dense(100, 80), example())
    assert isinstance(found, ArrayEstimate)
    (layer,) = found.layers
    assert (layer.tiles, layer.passes, layer.conversions) == (6, 2, 64)
    assert layer.cycles == 64 * 10 + 2 * 64 * 3
    assert layer.utilisation == 100 * 160 / (6 * 64 * 64)
    assert found.ms == pytest.approx(1024 / 100e6 * 1000)


def test_a_layer_that_fits_one_array_and_stays() -> None:
    found = on_arrays(dense(64, 32), example(load_cycles_per_row=0.0))
    assert isinstance(found, ArrayEstimate)
    assert found.cycles == 4 * 8 * 10


def test_arrays_that_keep_their_weights_must_hold_them_all() -> None:
    found = on_arrays(dense(100, 80), example(load_cycles_per_row=0.0))
    assert isinstance(found, NoData)
    assert found.reason == "the weights take 6 tiles, there are 4 arrays and they keep their weights"


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("rows = 64", "rows = 0", "Expected int >= 1"),
        ("rows = 64", "lines = 64", "unknown key"),
        ("arrays = 4\n", "", "missing"),
    ],
)
def test_a_wrong_description_is_refused(old: str, new: str, reason: str) -> None:
    with pytest.raises(FileError, match=reason):
        parse(Path("example.toml"), EXAMPLE.replace(old, new, 1), AcceleratorFile)
