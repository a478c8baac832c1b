"""Fixed-point rules against a slow transcription of the C++ they come from (gemmlowp, TFLite), and real math."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mcuprof.graph import Graph
from mcuprof.ops import numerics
from mcuprof.ops.kernel import Target, closed_form, matmul_type, rescaler
from tests.ops import slow

INT32 = st.integers(-(2**31), 2**31 - 1)
MULTIPLIER = st.integers(2**30, 2**31 - 1)


@given(INT32, INT32)
@example(-(2**31), -(2**31))
@example(-(2**31), 2**31 - 1)
def test_high_product(a: int, b: int) -> None:
    assert int(numerics.srdhm(a, b)) == slow.srdhm(a, b)


@given(INT32, st.integers(0, 31))
@example(-1, 0)
@example(-1, 1)
def test_rounding_division(x: int, exponent: int) -> None:
    assert int(numerics.rounding_divide_by_pot(np.int64(x), exponent)) == slow.rdbpot(x, exponent)


@given(INT32, MULTIPLIER, st.integers(-31, 30))
def test_multiply_by_quantized_multiplier(x: int, q: int, shift: int) -> None:
    assert int(numerics.multiply_by_quantized_multiplier(x, q, shift)) == slow.mbqm(x, q, shift)


@given(st.integers(-(2**47), 2**47), MULTIPLIER, st.integers(-31, 7))
def test_multiply_of_wide_accumulators(x: int, q: int, shift: int) -> None:
    assert int(numerics.multiply_by_quantized_multiplier_64(x, q, shift)) == slow.mbqm_64(x, q, shift)


@given(st.integers(-(2**21), 2**21), MULTIPLIER, st.integers(-13, 0))
def test_one_floor_stands_for_both_roundings(x: int, q: int, shift: int) -> None:
    factor, tie, _ = closed_form(np.array(q), np.array(shift), wide=False)
    y = x * float(factor)
    assert math.floor(y + 0.5 + math.copysign(float(tie), x)) == slow.mbqm(x, q, shift)


@given(
    st.lists(st.integers(-(2**31) + 1, 2**31 - 1), min_size=1, max_size=20),
    st.floats(1e-6, 0.9),
    st.integers(-128, 127),
    st.sampled_from([(-128, 127), (0, 127), (-128, -1), (-5, 90)]),
    st.booleans(),
)
def test_rescaler_is_the_transcription(
    values: list[int], real: float, zero: int, clamp: tuple[int, int], wide: bool
) -> None:
    bound = max(abs(value) for value in values)
    q, shift = numerics.quantize_multiplier(real)
    rule = slow.mbqm_64 if wide else slow.mbqm
    low, high = clamp
    graph = Graph("", (), (), (), ())
    run = rescaler(graph, real, Target(zero, low, high, np.dtype(np.int8)), float(bound), wide=wide)
    expected = [min(max(rule(value, q, shift) + zero, low), high) for value in values]
    assert run(np.array(values, np.int64)).tolist() == expected


@given(st.lists(st.floats(1e-7, 0.9), min_size=1, max_size=8), st.integers(0, 2**32), st.integers(1, 2**22))
def test_rescaler_of_channels_is_the_transcription_of_each(reals: list[float], seed: int, bound: int) -> None:
    values = np.random.default_rng(seed).integers(-bound, bound + 1, (20, len(reals)))
    values[0], values[1] = -bound, bound
    run = rescaler(Graph("", (), (), (), ()), reals, Target(3, -128, 127, np.dtype(np.int8)), float(bound))
    pairs = [numerics.quantize_multiplier(real) for real in reals]
    expected = [
        [min(max(slow.mbqm(int(value), *pair) + 3, -128), 127) for value, pair in zip(row, pairs, strict=True)]
        for row in values
    ]
    assert run(values).tolist() == expected


@given(st.floats(1e-9, 1e6))
def test_quantize_multiplier_keeps_31_bits(real: float) -> None:
    q, shift = numerics.quantize_multiplier(real)
    assert 2**30 <= q < 2**31
    assert abs(q * 2.0 ** (shift - 31) - real) <= real * 2.0**-31


@pytest.mark.parametrize(("real", "expected"), [(0.0, (0, 0)), (1.0, (2**30, 1)), (2.0**-40, (0, 0))])
def test_quantize_multiplier_at_its_ends(real: float, expected: tuple[int, int]) -> None:
    assert numerics.quantize_multiplier(real) == expected


@given(st.integers(-(2**31), 0), st.integers(0, 6))
def test_exponential_is_close_to_exp(raw: int, bits: int) -> None:
    result = int(numerics.exp_on_negative_values(np.array([raw]), bits)[0]) / 2.0**31
    assert result == pytest.approx(math.exp(raw / 2.0 ** (31 - bits)), abs=1e-6)


@given(INT32)
def test_logistic_and_tanh_are_close(raw: int) -> None:
    x = raw / 2.0**27
    assert int(numerics.logistic(np.array([raw]), 4)[0]) / 2.0**31 == pytest.approx(1 / (1 + math.exp(-x)), abs=2e-6)
    assert int(numerics.tanh(np.array([raw]), 4)[0]) / 2.0**31 == pytest.approx(math.tanh(x), abs=2e-6)


@given(st.integers(2**19, 2**31 - 1))
def test_logarithm_is_close(raw: int) -> None:
    result = int(numerics.log_of_at_least_1(np.array([raw]), 12, 5)[0]) / 2.0**26
    assert result == pytest.approx(math.log(raw / 2.0**19), abs=2e-6)


@given(st.integers(2, 2**30))
def test_inverse_square_root_is_close(value: int) -> None:
    q, shift = numerics.inverse_sqrt_multiplier(value)
    assert q * 2.0 ** (shift - 31) == pytest.approx(value**-0.5, rel=3e-6)


@given(st.floats(-(2**22), 2**22, width=32))
def test_halves_go_away_from_zero(value: float) -> None:
    expected = math.copysign(math.floor(abs(value) + 0.5), value)
    assert float(numerics.round_away(np.float64(value))) == expected


def test_sums_are_exact_in_the_type_that_is_chosen() -> None:
    assert matmul_type(2**24 - 1) is np.float32
    assert matmul_type(2**24) is np.float64
