"""NPUs of which only measured networks are known: a band that holds, or no number."""

from __future__ import annotations

import pytest

from mcuprof.costs import NoData
from mcuprof.costs.data import rows
from mcuprof.costs.npu import Published, published


@pytest.mark.parametrize("accelerator", ["max78000-cnn", "anpu-fpga", "neutron-n1-16", "nothing"])
def test_nothing_is_invented(accelerator: str) -> None:
    assert isinstance(published(accelerator, 7_000_000, 100_000_000), NoData)


def test_networks_of_other_sizes_get_no_number() -> None:
    found = published("ne16", 900_000_000, 370_000_000)
    assert isinstance(found, NoData) and "MACs" in found.reason


@pytest.mark.parametrize("accelerator", ["ne16", "mvp", "st-hsp", "syntiant-core2", "st-neural-art-14"])
def test_the_band_holds_nine_measured_networks_of_ten(accelerator: str) -> None:
    held = []
    for row in rows("measurements/npu_latency.csv"):
        if row["accelerator"] == accelerator:
            clock = int(row["clock_hz"]) if row["clock_hz"] else None
            found = published(accelerator, int(row["macs"]), clock)
            assert isinstance(found, Published)
            held.append(found.low_ms <= float(row["ms"]) <= found.high_ms)
    assert sum(held) >= 0.9 * len(held)
