"""How much a file from a stranger may ask for. Every limit can be raised; none needs to be for a network that fits a
microcontroller.

What is counted is what the file declares, before anything is allocated for it; sizes are Python integers, so they
cannot overflow. Memory and time of reading then follow from the size of the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

from mcuprof.errors import ModelError, UsageError
from mcuprof.units import parse_size

_SIZES = ("file", "tensor", "activations", "executed")


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """The most that a model may have: bytes of the file, of one tensor and of all computed tensors together; number of
    tensors and of operators in all subgraphs; operators run when subgraphs that are called count at every call; depth
    of subgraphs that call each other; bytes of all computed tensors where the model is executed (`verify`, `plan`).

    A tensor has at most 2 GiB by default because runtimes' planners count in 32-bit integers.
    """

    file: int = 1024**3
    tensor: int = 2**31 - 1
    activations: int = 16 * 1024**3
    tensors: int = 200_000
    operators: int = 100_000
    calls: int = 100_000
    nesting: int = 32
    executed: int = 64 * 1024**2


DEFAULT = ReadLimits()
NAMES = tuple(field.name for field in fields(ReadLimits))


def parse_limit(text: str) -> tuple[str, int]:
    """Name and value of `operators=500000` or `file=4G`. Raises UsageError on anything else."""
    name, _, value = text.partition("=")
    if name not in NAMES:
        raise UsageError(f"no limit is named {name!r} (there are {', '.join(NAMES)})")
    if name in _SIZES:
        return name, parse_size(value)
    if not (value.isascii() and value.isdigit() and 0 < len(value) <= 12):
        raise UsageError(f"not a number: {value!r} (write --limit {name}=500000)")
    return name, int(value)


def limits_of(raised: Mapping[str, int]) -> ReadLimits:
    """The default limits but for those in `raised`."""
    return replace(DEFAULT, **raised)


def check_limit(limits: ReadLimits, name: str, value: int, what: str) -> None:
    """Raises ModelError, which says how to raise the limit, when `value` is above it."""
    allowed: int = getattr(limits, name)
    if value > allowed:
        raise ModelError(f"{what}; more than {allowed:,} needs --limit {name}={value}")
