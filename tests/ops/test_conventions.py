"""What kernels do with a file that breaks their conventions, shown by tflite-micro, and that it is found."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mcuprof.ops.soundness import defects
from mcuprof.readers.tflite import read_tflite
from tests.tflite_models import O, T, build


def found(data: bytes) -> list[tuple[str, bool]]:
    return [(defect.topic, defect.fatal) for defect in defects(read_tflite(data, {}))]


def invoked(data: bytes, *arrays: Any) -> Any:
    """What tflite-micro answers."""
    runtime = pytest.importorskip("tflite_micro.python.tflite_micro.runtime", reason="tflite-micro is not installed")
    interpreter = runtime.Interpreter.from_bytes(data, arena_size=1 << 16)
    for position, array in enumerate(arrays):
        interpreter.set_input(array, position)
    interpreter.invoke()
    return interpreter.get_output(0)


def convolution(bias: T, weights_zero: int = 0, fields: dict[str, int] | None = None) -> bytes:
    """One 1x1 convolution of one channel: scales 0.5 (input), 0.25 (weights, of 4) and 0.5 (output)."""
    tensors = [
        T((1, 1, 1, 1), scale=(0.5,)),
        T((1, 1, 1, 1), scale=(0.25,), zero=(weights_zero,), data=np.array([[[[4]]]])),
        bias,
        T((1, 1, 1, 1), scale=(0.5,)),
    ]
    options = {"StrideH": 1, "StrideW": 1, "DilationHFactor": 1, "DilationWFactor": 1, **(fields or {})}
    return build(tensors, [O("CONV_2D", [0, 1, 2], [3], "Conv2DOptions", options)], [0], [3])


def bias(scale: float, dtype: str = "int32", value: int = 8) -> T:
    return T((1,), dtype, scale=(scale,), data=np.array([value]))


def test_a_sound_convolution_has_no_defect() -> None:
    assert found(convolution(bias(0.125))) == []


def test_a_bias_of_another_scale_is_added_as_if_it_had_the_sums() -> None:
    odd = convolution(bias(2.0))
    assert found(odd) == [("bias", False)]
    x = np.full((1, 1, 1, 1), 10, np.int8)
    # The bias of 8 counts 8 x 0.125 = 1 in both, although the file says 16 in the second.
    assert invoked(convolution(bias(0.125)), x).tolist() == invoked(odd, x).tolist() == [[[[12]]]]


def test_rounding_of_a_scale_to_float32_is_no_mismatch() -> None:
    assert found(convolution(bias(0.125 * (1 + 1e-5)))) == []
    assert found(convolution(bias(0.125 * 1.01))) == [("bias", False)]


def test_weights_with_a_zero_point_are_taken_as_symmetric() -> None:
    odd = convolution(bias(0.125), weights_zero=3)
    assert found(odd) == [("scheme", False)]
    x = np.full((1, 1, 1, 1), 10, np.int8)
    assert invoked(odd, x).tolist() == invoked(convolution(bias(0.125)), x).tolist()


@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_a_narrow_bias_is_fatal(dtype: str) -> None:
    data = convolution(bias(0.125, dtype))
    assert found(data) == [("scheme", True)]


def test_a_clamp_on_a_quantized_output_is_applied() -> None:
    assert found(convolution(bias(0.125), fields={"FusedActivationFunction": 1})) == []


def test_an_activation_that_is_no_clamp_is_ignored() -> None:
    odd = convolution(bias(0.125), fields={"FusedActivationFunction": 4})  # TANH
    assert found(odd) == [("activation", False)]
    x = np.full((1, 1, 1, 1), 10, np.int8)
    assert invoked(odd, x).tolist() == [[[[12]]]]  # 6 in real values; tanh is at most 1


def test_a_clamp_on_integers_is_ignored() -> None:
    tensors = [T((1, 4), "int32") for _ in range(3)]
    data = build(tensors, [O("ADD", [0, 1], [2], "AddOptions", {"FusedActivationFunction": 1})], [0, 1], [2])
    assert found(data) == [("activation", False)]
    x = np.array([[-4, -1, 0, 3]], np.int32)
    assert invoked(data, x, x).tolist() == [[-8, -2, 0, 6]]  # RELU would leave no negative number


def test_dequantize_takes_the_first_scale_for_all() -> None:
    def model(scales: tuple[float, ...]) -> bytes:
        tensors = [T((2, 2), scale=scales, axis=0, data=np.array([[1, 2], [3, 4]])), T((2, 2), "float32"),
                   T((2, 2), "float32"), T((2, 2), "float32")]  # fmt: skip
        return build(tensors, [O("DEQUANTIZE", [0], [1]), O("ADD", [1, 2], [3], "AddOptions", {})], [2], [3])

    odd = model((1.0, 100.0))
    assert found(odd) == [("scheme", False)] and found(model((1.0,))) == []
    assert invoked(odd, np.zeros((2, 2), np.float32)).tolist() == [[1, 2], [3, 4]]  # not [[1, 2], [300, 400]]


def test_another_type_than_computed_contradicts_the_graph() -> None:
    tensors = [T((1, 4), scale=(0.5,)), T((1, 4), "int16", scale=(0.5,))]
    assert found(build(tensors, [O("RELU", [0], [1])], [0], [1])) == [("operators", True)]


def test_per_channel_weights_are_what_convolutions_take() -> None:
    tensors = [
        T((1, 1, 1, 1), scale=(0.5,)),
        T((2, 1, 1, 1), scale=(0.25, 0.5), zero=(0, 0), data=np.ones((2, 1, 1, 1))),
        T((2,), "int32", scale=(0.125, 0.25), data=np.zeros(2)),
        T((1, 1, 1, 2), scale=(0.5,)),
    ]
    options = {"StrideH": 1, "StrideW": 1, "DilationHFactor": 1, "DilationWFactor": 1}
    assert found(build(tensors, [O("CONV_2D", [0, 1, 2], [3], "Conv2DOptions", options)], [0], [3])) == []
    tensors[2] = T((2,), "int32", scale=(0.125, 0.5), data=np.zeros(2))
    assert found(build(tensors, [O("CONV_2D", [0, 1, 2], [3], "Conv2DOptions", options)], [0], [3])) == [
        ("bias", False)
    ]
