"""Early exits: costs worked out by hand on a trunk with a branch, and rates that cannot be right."""

from __future__ import annotations

import pytest

from mcuprof.costs.exits import exits
from mcuprof.document import Latency, OperatorCost
from mcuprof.errors import UsageError
from mcuprof.graph import DType, Graph, Op
from tests.costs.networks import tensor


def branched(outputs: tuple[int, ...] = (6, 4), operators: int = 6) -> Graph:
    """x -FC 50x100-> a; a -FC 10x50-> early (4); a -FC 200x50-> b -FC 10x200-> late (6); b is kept in a variable."""
    tensors = (
        tensor((1, 100)),
        tensor((50, 100), constant=True),
        tensor((1, 50)),
        tensor((10, 50), constant=True),
        tensor((1, 10)),
        tensor((1, 200)),
        tensor((1, 10)),
        tensor((200, 50), constant=True),
        tensor((10, 200), constant=True),
        tensor((), DType.RESOURCE),
    )
    ops = (
        Op("FULLY_CONNECTED", (0, 1), (2,), {}),
        Op("FULLY_CONNECTED", (2, 3), (4,), {}),
        Op("FULLY_CONNECTED", (2, 7), (5,), {}),
        Op("FULLY_CONNECTED", (5, 8), (6,), {}),
        Op("VAR_HANDLE", (), (9,), {}),
        Op("ASSIGN_VARIABLE", (9, 5), (), {}),
    )
    return Graph("branched", tensors, ops[:operators], (0,), outputs)


def cost(index: int, cycles: int | None) -> OperatorCost:
    return OperatorCost(index, "", "", 0, cycles, cycles, "")


# 1,000 of 60,000 cycles belong to no operator; all take 6 ms
CYCLES = (20_000, 4_000, 25_000, 8_000, 500, 1_500)
LATENCY = Latency(60_000, 60_000, 6.0, 5.0, 7.2, "", tuple(cost(i, c) for i, c in enumerate(CYCLES)))


def test_what_each_exit_costs() -> None:
    found = exits(branched(), LATENCY, (0.25, 0.75))  # in the order of the outputs: late, early
    early, late = found.exits
    assert (early.rate, early.operators, early.macs) == (0.75, 2, 5_000 + 500)
    assert (early.cycles, early.ms) == (20_000 + 4_000 + 1_000, 2.5)
    # The second exit comes after the first has been tried, and keeps what is to be kept.
    assert (late.rate, late.operators, late.macs) == (0.25, 6, 5_000 + 500 + 10_000 + 2_000)
    assert (late.cycles, late.ms, late.low_ms, late.high_ms) == (60_000, 6.0, 5.0, 7.2)


def test_an_inference_on_average() -> None:
    found = exits(branched(), LATENCY, (0.25, 0.75))
    assert found.macs == 0.75 * 5_500 + 0.25 * 17_500
    assert found.ms == pytest.approx(0.75 * 2.5 + 0.25 * 6.0)
    assert found.high_ms == pytest.approx(0.75 * 3.0 + 0.25 * 7.2)


def test_the_order_of_the_outputs_decides_whose_rate_it_is() -> None:
    assert exits(branched((4, 6)), LATENCY, (0.75, 0.25)) == exits(branched((6, 4)), LATENCY, (0.25, 0.75))


def test_without_latency_the_macs_remain() -> None:
    found = exits(branched(operators=4), None, (0.5, 0.5))
    assert (found.macs, found.cycles, found.ms) == (11_500, None, None)
    partly = Latency(None, None, None, None, None, "", (cost(0, 10), *(cost(i, None) for i in range(1, 4))))
    assert exits(branched(operators=4), partly, (0.5, 0.5)).cycles is None


@pytest.mark.parametrize(
    ("rates", "reason"),
    [
        ((1.0,), "1 exit rates for 2 outputs"),
        ((0.5, 0.4), "add up to 1, not 0.9"),
        ((1.5, -0.5), "between 0 and 1"),
        ((float("nan"), 1.0), "between 0 and 1"),
    ],
)
def test_rates_that_cannot_be_right(rates: tuple[float, ...], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        exits(branched(), LATENCY, rates)


def test_one_output_is_no_exit() -> None:
    with pytest.raises(UsageError, match="one output"):
        exits(branched((6,)), LATENCY, (1.0,))
