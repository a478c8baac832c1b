"""Activations of ONNX's recurrent operators as ONNX Runtime computes them (`core/providers/cpu/rnn/rnn_helpers.cc`).

Sigmoid and Tanh exist there three times: by MLAS, in a loop that rounds every product (`IN_STEPS`), and from the C
library's exponential (`PLAIN`). Which gate goes through which is the operator's matter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from mcuprof.graph import Op
from mcuprof.ops import libm, mlas
from mcuprof.ops.kernel import Array, NoKernel

Activation = Callable[[Array], Array]


@dataclass(frozen=True, slots=True)
class Function:
    """A function by its lower-case name, with its parameters."""

    name: str
    alpha: float
    beta: float

    def bound(self, special: Mapping[str, Activation]) -> Activation:
        """The function itself; one in `special` is computed so."""
        if self.name in special:
            return special[self.name]
        return partial(_FUNCTIONS[self.name][0], a=np.float32(self.alpha), b=np.float32(self.beta))


def read_functions(op: Op, defaults: tuple[str, ...], directions: int) -> tuple[tuple[Function, ...], ...]:
    """Each direction's functions. Alphas and betas go, in order, to those that take them. Raises NoKernel."""
    names = op.text("activations").lower().split(",") if op.text("activations") else [*defaults] * directions
    if len(names) != len(defaults) * directions:
        raise NoKernel(f"{len(names)} activations, where it needs {len(defaults) * directions}")
    alphas, betas = iter(op.numbers("activation_alpha")), iter(op.numbers("activation_beta"))
    found = []
    for name in names:
        if name not in _FUNCTIONS:
            raise NoKernel(f"activation {name!r}")
        _, takes, alpha, beta = _FUNCTIONS[name]
        alpha = next(alphas, alpha) if takes > 0 else alpha
        found.append(Function(name, alpha, next(betas, beta) if takes > 1 else beta))
    count = len(defaults)
    return tuple(tuple(found[first : first + count]) for first in range(0, len(found), count))


def _logistic(x: Array) -> Array:
    one, power = np.float32(1), libm.exp(-np.abs(x))
    return np.where(x >= 0, one, power) / (one + power)


def _tanh(x: Array) -> Array:
    return np.float32(2) * _logistic(np.float32(2) * x) - np.float32(1)


IN_STEPS: Mapping[str, Activation] = {"sigmoid": mlas.logistic_in_steps, "tanh": mlas.tanh_in_steps}
PLAIN: Mapping[str, Activation] = {"sigmoid": _logistic, "tanh": _tanh}
# The function of (x, alpha, beta), how many of the two it takes, and what they are by default.
_FUNCTIONS: Mapping[str, tuple[Callable[..., Array], int, float, float]] = {
    "sigmoid": (lambda x, a, b: mlas.logistic(x), 0, 0, 0),
    "tanh": (lambda x, a, b: mlas.tanh(x), 0, 0, 0),
    "relu": (lambda x, a, b: np.maximum(x, np.float32(0)), 0, 0, 0),
    "softsign": (lambda x, a, b: x / (np.float32(1) + np.abs(x)), 0, 0, 0),
    "softplus": (lambda x, a, b: libm.log(np.float32(1) + libm.exp(x)), 0, 0, 0),
    "leakyrelu": (lambda x, a, b: np.where(x >= 0, x, a * x), 1, 0.01, 0),
    "thresholdedrelu": (lambda x, a, b: np.where(x > a, x, np.float32(0)), 1, 0, 0),
    "elu": (lambda x, a, b: np.where(x >= 0, x, a * (libm.exp(np.minimum(x, 0)) - np.float32(1))), 1, 1, 0),
    "affine": (lambda x, a, b: a * x + b, 2, 0, 0),
    "hardsigmoid": (lambda x, a, b: np.clip(a * x + b, np.float32(0), np.float32(1)), 2, 0.2, 0.5),
    "scaledtanh": (lambda x, a, b: a * _tanh(b * x), 2, 0, 0),
}
