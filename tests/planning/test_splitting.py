"""What splitting reaches on known models, against figures published with the method (kernel-independent plans)."""

from __future__ import annotations

import pytest

from mcuprof.errors import PlanError
from mcuprof.ops import total_macs
from mcuprof.planning import Firmware, Wishes
from mcuprof.planning.split_orchestrate import Limits, split_tflite
from mcuprof.planning.splitting import Splitter, front_points
from mcuprof.progress import silent
from mcuprof.readers.tflite import read_tflite
from mcuprof.rewrites import simplify
from tests.corpus import model, needs_shared

FIRMWARE = Firmware("reference")
WISHES = Wishes("as-is", "none")


def splitter(name: str) -> Splitter:
    """For the model as `plan --split` simplifies it: the published figures started from all channels."""
    graph = read_tflite(model(name).path.read_bytes(), {})
    return Splitter(simplify(graph), FIRMWARE, WISHES, silent, total_macs(graph))


@needs_shared
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "most_work", "published"),
    [
        ("mlperf_vww_mbv1_int8", None, 63_140),
        ("mlperf_vww_mbv1_int8", 0.025, 73_476),
        ("tflm_person_detect", None, 58_548),
        ("mlperf_ic_resnet8_int8", None, 37_908),
    ],
)
def test_arenas_are_no_larger_than_published(name: str, most_work: float | None, published: int) -> None:
    points = front_points(splitter(name), most_work)
    assert min(point.arena.arena_bytes for point in points) <= published


@needs_shared
@pytest.mark.slow
@pytest.mark.parametrize("name", ["mlperf_vww_mbv1_int8", "tflm_person_detect", "mlperf_ic_resnet8_int8"])
def test_no_value_differs_in_the_real_interpreter(name: str) -> None:
    pytest.importorskip("tflite_micro", reason="tflite-micro is not installed")
    data = model(name).path.read_bytes()
    found = split_tflite(read_tflite(data, {}), data, FIRMWARE, WISHES, Limits(work=0.2))
    assert found.point is not None and found.after.arena_bytes < found.before.arena_bytes
    assert sum("executed by tflite-micro" in step.text and step.executed for step in found.steps) >= 1


@needs_shared
def test_the_search_gives_the_same_front_twice() -> None:
    one, other = (splitter("mlperf_ic_resnet8_int8").choices() for _ in range(2))
    assert one == other and len(one) > 3


@needs_shared
def test_what_binds_is_named() -> None:
    data = model("mlperf_kws_int8").path.read_bytes()
    with pytest.raises(PlanError, match="without a split"):
        split_tflite(read_tflite(data, {}), data, FIRMWARE, WISHES, Limits(ram=8_000))
