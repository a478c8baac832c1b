"""Float functions against the C library of this machine, where it is one that computes as newlib does."""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Callable

import numpy as np
import pytest

from mcuprof.ops import libm

LIBRARY, VERSION = platform.libc_ver()
# From 2.41 on, glibc's expm1f and tanhf are other (correctly rounded) ones than newlib's.
same_as_newlib = pytest.mark.skipif(
    LIBRARY != "glibc" or tuple(map(int, VERSION.split("."))) > (2, 40),
    reason="needs glibc up to 2.40, whose float functions are newlib's",
)


@same_as_newlib
@pytest.mark.parametrize(
    ("name", "ours", "spread"),
    [("expf", libm.exp, 20.0), ("expm1f", libm.expm1, 8.0), ("tanhf", libm.tanh, 4.0), ("logf", libm.log, 5.0)]
    + [
        (name, ours, spread) for name, ours in (("sinf", libm.sin), ("cosf", libm.cos)) for spread in (1, 40, 1e4, 1e30)
    ],
)
def test_every_bit_is_the_c_librarys(name: str, ours: Callable[[np.ndarray], np.ndarray], spread: float) -> None:
    x = np.random.default_rng(0).normal(0, spread, 20000).astype(np.float32)
    if name == "logf":
        x = np.exp(x)
    else:
        x = np.concatenate([x, np.array([0, -0.0, 88.5, 88.7222, 100, -100, 1e-30, -1e-9], np.float32)])
    function = getattr(ctypes.CDLL("libm.so.6"), name)
    function.restype, function.argtypes = ctypes.c_float, [ctypes.c_float]
    expected = np.array([function(float(value)) for value in x], np.float32)
    np.testing.assert_array_equal(ours(x), expected)
