"""What no output needs, in the report: counts by hand, time by proportion."""

from __future__ import annotations

import numpy as np
import pytest

from mcuprof import Options, analyze
from mcuprof.analysis.waste import Waste, findings
from mcuprof.document import Latency, OperatorCost
from mcuprof.graph import DType, Graph, Origin
from mcuprof.ops.dead import DeadCompute, DeadOperator
from tests.graphs import Affine, op, tensor

Q: Affine = {"scale": [0.5], "zero_point": [0]}


def wasteful() -> Graph:
    """One operator that leads nowhere, one copy, one PAD that SAME could do, and a filter of zeros among two."""
    weights = np.zeros((2, 3, 3, 1), np.int8)
    weights[1] = 1
    pads = np.array([[0, 0], [1, 1], [1, 1], [0, 0]], np.int32)
    return Graph(
        "wasteful",
        (
            tensor("x", [1, 4, 4, 1], **Q),
            tensor("nobody", [1, 4, 4, 1], **Q),
            tensor("shape", [4], DType.INT32, data=np.array([1, 4, 4, 1], np.int32).tobytes()),
            tensor("copy", [1, 4, 4, 1], **Q),
            tensor("pads", [4, 2], DType.INT32, data=pads.tobytes()),
            tensor("padded", [1, 6, 6, 1], **Q),
            tensor("w", [2, 3, 3, 1], data=weights.tobytes(), **Q),
            tensor("b", [2], DType.INT32, data=bytes(8), **Q),
            tensor("y", [1, 4, 4, 2], **Q),
        ),
        (
            op("RELU", (0,), (1,)),
            op("RESHAPE", (0, 2), (3,)),
            op("PAD", (3, 4), (5,)),
            op("CONV_2D", (5, 6, 7), (8,), {"padding": "VALID", "stride_h": 1, "stride_w": 1}),
        ),
        (0,),
        (8,),
        Origin(format="tflite"),
    )


def test_every_kind_of_waste_is_found_once() -> None:
    result = analyze(wasteful(), None, Options(detail=True))
    found = {finding.code: finding for finding in result.verdict.findings if finding.code.startswith("D")}
    assert sorted(found) == ["D601", "D604", "D605", "D606"]
    assert all(found[code].message.startswith("1 operator ") for code in ("D601", "D604", "D606"))
    # Half of 4·4·2·9 MACs, and 9 of 18 weights.
    assert "1 of 2 output channels" in found["D605"].message
    assert "144 of 288 MACs" in found["D605"].message
    assert found["D605"].saves_bytes == 9
    assert all("mcuprof plan MODEL -o OUT" in (finding.fix or "") for finding in found.values())


def test_a_short_check_does_not_look_for_waste() -> None:
    result = analyze(wasteful())
    assert not [finding for finding in result.verdict.findings if finding.code.startswith("D")]


@pytest.mark.parametrize(("ms", "said"), [(10.0, "about 4 ms"), (None, None)])
def test_time_is_that_of_the_dead_macs(ms: float | None, said: str | None) -> None:
    """Operator 0 takes 800 of 1,000 cycles and half of its MACs are dead; operator 1 is all alive: 4 of 10 ms."""
    dead = DeadCompute(
        (DeadOperator(0, "CONV_2D", 4, 2, 100, 50, 20, 10), DeadOperator(1, "FULLY_CONNECTED", 4, 0, 7, 7, 28, 28))
    )
    rows = (
        OperatorCost(0, "CONV_2D", "k", 100, 800, 800, "modelled"),
        OperatorCost(1, "FULLY_CONNECTED", "k", 7, 200, 200, "modelled"),
    )
    latency = Latency(1000, 1000, ms, ms, ms, "modelled", rows)
    (only,) = findings(Waste(0, 0, 0, dead, True), latency)
    assert ("ms" in only.message) == (said is not None)
    assert said is None or said in only.message
