"""Kernels that make some rows of their output alone: the same rows, from no more of the input than their windows see.

The whole output is judged elsewhere (`test_kernels_against_tflm.py`); here it is the measure.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcuprof.graph import Attribute, DType, Graph
from mcuprof.ops.kernel import ByRows
from mcuprof.runner.inputs import random_inputs
from mcuprof.runner.program import State, prepare, run_operator, run_stretch
from tests import graphs
from tests.graphs import graph, op

PAIR = st.tuples(st.integers(1, 3), st.integers(1, 3))


def convolution(
    size: tuple[int, int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    padding: str,
    depthwise: bool,
    dtype: DType,
) -> Graph:
    height, width, depth = size
    spans = [(taps - 1) * apart + 1 for taps, apart in zip(kernel, dilation, strict=True)]
    if padding == "SAME":
        rows, columns = (-(-full // step) for full, step in zip((height, width), stride, strict=True))
    else:
        rows, columns = (
            (full - span) // step + 1 for full, span, step in zip((height, width), spans, stride, strict=True)
        )
    shape = (1, *kernel, 2 * depth) if depthwise else (3, *kernel, depth)
    channels = 2 * depth if depthwise else 3
    values = np.random.default_rng(1).integers(-127, 128, shape)
    floats = dtype.is_float
    kind = np.float32 if floats else np.int8
    tensors = [
        graphs.tensor("x", (1, height, width, depth), dtype, scale=(0.05,), zero_point=(3,)),
        graphs.tensor(
            "w", shape, DType.FLOAT32 if floats else DType.INT8, data=values.astype(kind).tobytes(), scale=(0.01,)
        ),
        graphs.tensor("y", (1, rows, columns, channels), dtype, scale=(0.3,), zero_point=(-7,)),
    ]
    options: dict[str, Attribute] = {
        "stride_h": stride[0],
        "stride_w": stride[1],
        "dilation_h": dilation[0],
        "dilation_w": dilation[1],
        "padding": padding,
    }
    return graph(tensors, [op("DEPTHWISE_CONV_2D" if depthwise else "CONV_2D", (0, 1), (2,), options)], (0,), (2,))


@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize("dtype", [DType.INT8, DType.FLOAT32])
@given(
    size=st.tuples(st.integers(7, 12), st.integers(7, 12), st.integers(1, 3)),
    kernel=PAIR,
    stride=PAIR,
    dilation=PAIR,
    padding=st.sampled_from(["SAME", "VALID"]),
    depthwise=st.booleans(),
    data=st.data(),
)
def test_a_stretch_sees_its_own_windows_only(
    dtype: DType,
    size: tuple[int, int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    padding: str,
    depthwise: bool,
    data: st.DataObject,
) -> None:
    net = convolution(size, kernel, stride, dilation, padding, depthwise, dtype)
    program, state = prepare(net), State()
    assert isinstance(program.kernels[0], ByRows)
    x, weights = random_inputs(net, 0)[0], program.constants[1]
    (whole,) = run_operator(program, 0, [x, weights], state)
    start = data.draw(st.integers(0, whole.size))
    stop = data.draw(st.integers(start, whole.size))
    reach = (kernel[0] - 1) * dilation[0] + 1
    top = max(0, (whole.shape[1] - 1) * stride[0] + reach - size[0]) // 2 if padding == "SAME" else 0
    row = whole.size // whole.shape[1]
    seen = {
        y * stride[0] - top + tap * dilation[0]
        for y in range(start // row, -(-stop // row))
        for tap in range(kernel[0])
    }
    noisy = random_inputs(net, 1)[0]
    for line in seen & set(range(size[0])):
        noisy[0, line] = x[0, line]
    found = run_stretch(program, 0, [noisy, weights], state, start, stop)
    assert np.array_equal(found, whole.reshape(-1)[start:stop])
