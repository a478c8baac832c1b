"""TFLite_Detection_PostProcess: boxes decoded from their anchors, the best of them without those they overlap.

Kernel: TFLM `kernels/detection_postprocess.cc`, float32. Elements that it leaves unwritten (beyond the number of
detections, without regular suppression) are 0 here; in a runtime they are what the memory held before.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from mcuprof.graph import DType, Graph, Op
from mcuprof.ops.flexoptions import float_option, integer_option
from mcuprof.ops.kernel import Array, Inputs, Kernel, NoKernel, expect
from mcuprof.ops.operator import Operator, as_stored

_MOST = 2**31 - 1
_DEFAULT_PER_CLASS = 100


@dataclass(frozen=True, slots=True)
class _Options:
    """Counts and thresholds (float32) of the operator; `scales` of y, x, height, width."""

    classes: int
    most: int
    per_detection: int
    per_class: int
    regular: bool
    least_score: np.float32
    most_overlap: np.float32
    scales: tuple[float, ...]


# (box, class, score) of a detection.
_Found: TypeAlias = "Iterator[tuple[int, int, np.float32]]"


def prepare_detection(graph: Graph, op: Op) -> Kernel:
    """Box encodings [1, boxes, ≥ 4], scores [1, boxes, classes or one more], anchors [boxes, 4].

    To boxes (ymin, xmin, ymax, xmax), classes, scores and the number of detections.
    """
    float32 = DType.FLOAT32
    expect(graph, op, float32, float32, float32, outputs=(float32,) * 4)
    options = _options(op)
    boxes, scores, anchors = (graph.input(op, position).shape for position in range(3))
    fits = len(boxes) == len(scores) == 3 and boxes[0] == scores[0] == 1 and boxes[2] >= 4 and boxes[1] == scores[1]
    if not fits or math.prod(anchors) < 4 * boxes[1] or scores[2] - options.classes not in (0, 1):
        raise NoKernel(f"boxes {boxes}, scores {scores} and anchors {anchors} do not go together")
    outputs = [graph.output(op, position) for position in range(4)]
    spacing = 1 if options.regular else min(options.per_detection, options.classes)
    room = min(outputs[0].elements // 4, outputs[1].elements, outputs[2].elements)
    if options.most * spacing**2 > room or not outputs[3].elements:
        raise NoKernel(f"the kernel writes up to {options.most * spacing**2} detections into outputs of {room}")

    def run(inputs: Inputs) -> tuple[Array, ...]:
        with np.errstate(all="ignore"):
            decoded = _decoded(inputs[0][0], inputs[2].reshape(-1)[: 4 * boxes[1]].reshape(-1, 4), options.scales)
        scored = inputs[1][0][:, scores[2] - options.classes :]
        found = list((_regular if options.regular else _fast)(decoded, scored, options))
        results = [np.zeros(output.shape, np.float32) for output in outputs]
        for number, (box, label, score) in enumerate(found):
            # As there: each detection's classes are `spacing` apart, and one more for each of them.
            at = number * spacing + number % spacing
            for result, width, value in zip(results, (4, 1, 1), (decoded[box], label, score), strict=False):
                result.reshape(-1)[at * width : (at + 1) * width] = value
        results[3].reshape(-1)[0] = len(found)
        return tuple(results)

    return run


def _options(op: Op) -> _Options:
    """`Init`. Raises NoKernel for options that `Eval` refuses."""
    overlap = np.float32(float_option(op, "nms_iou_threshold"))
    if not 0 < overlap <= 1:
        raise NoKernel(f"its option 'nms_iou_threshold' is {overlap}, not above 0 and up to 1")
    return _Options(
        integer_option(op, "num_classes", 1, _MOST),
        integer_option(op, "max_detections", 0, _MOST),
        integer_option(op, "max_classes_per_detection", 1, _MOST),
        integer_option(op, "detections_per_class", 1, _MOST, _DEFAULT_PER_CLASS),
        bool(integer_option(op, "use_regular_nms", 0, 1, 0)),
        np.float32(float_option(op, "nms_score_threshold")),
        overlap,
        tuple(float(np.float32(float_option(op, f"{axis}_scale"))) for axis in "yxhw"),
    )


def _decoded(encodings: Array, anchors: Array, scales: tuple[float, ...]) -> Array:
    """`DecodeCenterSizeBoxes`: [boxes, (ymin, xmin, ymax, xmax)]; centre and half size in float64, edges in float32.

    Raises NoKernel where a box is empty.
    """
    wide, anchor = encodings[:, :4].astype(np.float64), anchors.astype(np.float64)
    wide = wide / np.array(scales)
    center = (wide[:, :2] * anchor[:, 2:] + anchor[:, :2]).astype(np.float32)
    # The C library's exp: NumPy's may differ in the last bit.
    powers = np.array([[math.exp(min(value, 709.0)) for value in row] for row in wide[:, 2:]]).reshape(-1, 2)
    half = (0.5 * powers * anchor[:, 2:]).astype(np.float32)
    low, high = center - half, center + half
    if not (low < high).all():
        raise NoKernel("a decoded box is empty")
    return np.concatenate([low, high], axis=1)


def _fast(boxes: Array, scores: Array, options: _Options) -> _Found:
    """`NonMaxSuppressionMultiClassFastHelper`: every box once, by its best class."""
    count = min(options.per_detection, options.classes)
    for box in _suppressed(boxes, scores.max(axis=1), options, options.most):
        for label in _best(scores[box], count):
            yield box, label, scores[box, label]


def _regular(boxes: Array, scores: Array, options: _Options) -> _Found:
    """`NonMaxSuppressionMultiClassRegularHelper`: class by class, the best of all so far kept."""
    kept: list[tuple[int, int, np.float32]] = []
    for label in range(options.classes):
        of_class = scores[:, label]
        kept += [(box, label, of_class[box]) for box in _suppressed(boxes, of_class, options, options.per_class)]
        kept = [kept[place] for place in _best(np.array([score for _, _, score in kept]), options.most)]
    yield from kept


def _suppressed(boxes: Array, scores: Array, options: _Options, most: int) -> list[int]:
    """`NonMaxSuppressionSingleClassHelper`: boxes by descending score, less those a better overlaps."""
    passing = np.flatnonzero(scores >= options.least_score)
    left = passing[_best(scores[passing], len(passing))]
    selected: list[int] = []
    while len(left) and len(selected) < most:
        best, left = left[0], left[1:]
        selected.append(int(best))
        left = left[~(_overlap(boxes[best], boxes[left]) > options.most_overlap)]
    return selected


def _overlap(box: Array, others: Array) -> Array:
    """`ComputeIntersectionOverUnion`, in float32."""
    sizes, size = others[:, 2:] - others[:, :2], box[2:] - box[:2]
    common = np.maximum(np.minimum(others[:, 2:], box[2:]) - np.maximum(others[:, :2], box[:2]), np.float32(0))
    intersection, area = common[:, 0] * common[:, 1], size[0] * size[1]
    return np.asarray(intersection / (area + sizes[:, 0] * sizes[:, 1] - intersection), np.float32)


def _best(values: Array, count: int) -> list[int]:
    """`DecreasingPartialArgSort`: indices of the `count` largest, descending, the lower index first among equals."""
    return [int(index) for index in np.argsort(-values, kind="stable")[:count]]


OPERATORS = (Operator("CUSTOM:TFLite_Detection_PostProcess", as_stored, kernel=prepare_detection),)
