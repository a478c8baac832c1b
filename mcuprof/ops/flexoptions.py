"""Options of custom operators: the scalars of a FlexBuffers map (https://flatbuffers.dev/flexbuffers/)."""

from __future__ import annotations

from mcuprof.graph import Op
from mcuprof.ops.kernel import NoKernel


def integer_option(op: Op, name: str, low: int, high: int) -> int:
    """The integer or boolean under `name`. Raises NoKernel when it is not there or not in `low` … `high`."""
    from flatbuffers import flexbuffers

    data = op.attributes.get("custom_options")
    if not isinstance(data, bytes | memoryview) or not data:
        raise NoKernel("its options are missing")
    try:
        value = flexbuffers.GetRoot(bytes(data)).AsMap[name]
        if not (value.IsBool or value.IsInt):
            raise ValueError(name)
        found = int(value.AsInt)
    except Exception:  # the library trusts its input: broken bytes raise whatever comes up on the way
        raise NoKernel(f"its option {name!r} cannot be read") from None
    if not low <= found <= high:
        raise NoKernel(f"its option {name!r} is {found}, outside {low} to {high}")
    return found
