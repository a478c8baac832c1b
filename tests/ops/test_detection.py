"""TFLite_Detection_PostProcess in random sizes and options, with many equal scores, against tflite-micro's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tflite_models import O, T
from tests.tflm_judge import both

COUNTS = st.tuples(st.integers(1, 40), st.integers(1, 6), st.integers(1, 12), st.integers(0, 1), st.integers(1, 3))


@pytest.mark.parametrize("regular", [False, True])
@settings(max_examples=40, deadline=None)
@given(
    counts=COUNTS,
    levels=st.sampled_from([2, 9, 1 << 20]),
    thresholds=st.tuples(st.sampled_from([0.0, 0.3, 0.5]), st.sampled_from([0.2, 0.6, 1.0])),
    per_class=st.none() | st.integers(1, 20),
    width=st.sampled_from([4, 6]),
    seed=st.integers(0, 2**32 - 1),
)
def test_detections(
    regular: bool,
    counts: tuple[int, ...],
    levels: int,
    thresholds: tuple[float, float],
    per_class: int | None,
    width: int,
    seed: int,
) -> None:
    boxes, classes, most, background, each = counts
    spacing = 1 if regular else min(each, classes)
    room = most * spacing**2
    rng = np.random.default_rng(seed)
    anchors = np.concatenate([rng.uniform(0, 1, (boxes, 2)), rng.uniform(0.1, 0.5, (boxes, 2))], axis=1)
    shapes = [(1, boxes, width), (1, boxes, classes + background), (boxes, 4), (1, room, 4), (1, room), (1, room), (1,)]
    tensors = [T(shape, "float32", data=anchors if place == 2 else None) for place, shape in enumerate(shapes)]
    options: dict[str, Any] = {
        "max_detections": most,
        "max_classes_per_detection": each,
        "num_classes": classes,
        "nms_score_threshold": thresholds[0],
        "nms_iou_threshold": thresholds[1],
        "use_regular_nms": regular,
        "y_scale": 10.0,
        "x_scale": 10.0,
        "h_scale": 5.0,
        "w_scale": 5.0,
        **({} if per_class is None else {"detections_per_class": per_class}),
    }
    given_arrays = {
        0: rng.normal(0, 1, shapes[0]).astype(np.float32),
        1: (rng.integers(0, levels, shapes[1]) / levels).astype(np.float32),
    }
    op = O("CUSTOM:TFLite_Detection_PostProcess", (0, 1, 2), (3, 4, 5, 6), "", options)
    found = both(tensors, op, lambda graph: given_arrays)
    assert found is not None
    count = int(found[3][1][0])
    assert found[3][0].tolist() == [count]
    # Elements in between are whatever the memory held before.
    written = [number * spacing + number % spacing for number in range(count)]
    for (ours, theirs), of_each in zip(found[:3], (4, 1, 1), strict=True):
        np.testing.assert_array_equal(ours.reshape(-1, of_each)[written], theirs.reshape(-1, of_each)[written])
