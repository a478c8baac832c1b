"""Options of custom operators: the scalars of a FlexBuffers map (https://flatbuffers.dev/flexbuffers/)."""

from __future__ import annotations

import math

from mcuprof.graph import Op
from mcuprof.ops.kernel import NoKernel


def integer_option(op: Op, name: str, low: int, high: int, default: int | None = None) -> int:
    """The integer or boolean under `name`, `default` where there is none.

    Raises NoKernel when it is not there and there is no default, or is not in `low` … `high`.
    """
    found = _scalar(op, name, default)
    if not isinstance(found, int):
        raise NoKernel(f"its option {name!r} cannot be read")
    if not low <= found <= high:
        raise NoKernel(f"its option {name!r} is {found}, outside {low} to {high}")
    return int(found)


def float_option(op: Op, name: str) -> float:
    """The finite number under `name`. Raises NoKernel when it is not there."""
    found = float(_scalar(op, name, None))
    if not math.isfinite(found):
        raise NoKernel(f"its option {name!r} is {found}")
    return found


def _scalar(op: Op, name: str, default: int | None) -> int | float:
    from flatbuffers import flexbuffers

    data = op.attributes.get("custom_options")
    if not isinstance(data, bytes | memoryview) or not data:
        raise NoKernel("its options are missing")
    try:
        options = flexbuffers.GetRoot(bytes(data)).AsMap
        if default is not None and name not in [key.AsKey for key in options.Keys]:
            return default
        value = options[name]
        if value.IsBool or value.IsInt:
            return int(value.AsInt)
        if not value.IsFloat:
            raise ValueError(name)
        return float(value.AsFloat)
    except Exception:  # the library trusts its input: broken bytes raise whatever comes up on the way
        raise NoKernel(f"its option {name!r} cannot be read") from None
