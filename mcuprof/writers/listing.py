"""A plan for people who do not use TFLM: as JSON, or as a C header with tables by operator and by tensor."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from mcuprof.graph import Graph
from mcuprof.memory import MemoryPlan

SCHEMA_VERSION = 1
_PER_LINE = 12


def plan_json(graph: Graph, plan: MemoryPlan, name: str, kernels: str) -> str:
    """The plan with every placed tensor; byte-equal for equal plans. `name` is the model's file name."""
    tensors = [
        {
            "index": index,
            "name": graph.tensors[index].name,
            "bytes": graph.tensors[index].nbytes,
            "offset": offset,
            "first": lifetime[0],
            "last": lifetime[1],
        }
        for index, (offset, lifetime) in enumerate(zip(plan.offsets, plan.lifetimes, strict=True))
        if offset is not None and lifetime is not None
    ]
    scratch = [
        {"operator": number, "offset": offset, "bytes": size}
        for number, blocks in enumerate(plan.scratch)
        for offset, size in blocks
    ]
    document = {
        "schema_version": SCHEMA_VERSION,
        "model": {"name": name, "sha256": graph.origin.sha256, "format": graph.origin.format},
        "kernels": kernels,
        "schedule": plan.schedule,
        "in_place": plan.strategy,
        "alignment": plan.alignment,
        "arena_bytes": plan.arena_bytes,
        "lower_bound_bytes": plan.lower_bound_bytes,
        "certificate": plan.certificate,
        "order": list(plan.order),
        "tensors": tensors,
        "scratch": scratch,
    }
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


def c_header(graph: Graph, plan: MemoryPlan, name: str, kernels: str) -> str:
    """`<name>_plan.h`: the arena's size, the order of operators, and where each tensor lies (−1: not in the arena)."""
    prefix = re.sub(r"\W", "_", name.rsplit(".", 1)[0], flags=re.ASCII) or "model"
    prefix = f"m{prefix}" if prefix[0].isdigit() else prefix
    guard = f"{prefix.upper()}_PLAN_H_"
    offsets = [-1 if offset is None else offset for offset in plan.offsets]
    return "\n".join(
        [
            f"// Memory plan of {_comment(name)} (SHA-256 {graph.origin.sha256 or 'unknown'}), written by mcuprof.",
            f"// Valid for {_comment(kernels or 'any kernels')}. Order: {plan.schedule}; sharing: {plan.strategy}.",
            f"#ifndef {guard}",
            f"#define {guard}",
            "",
            "#include <stdint.h>",
            "",
            f"#define {prefix.upper()}_ARENA_BYTES {plan.arena_bytes}",
            f"#define {prefix.upper()}_ARENA_ALIGNMENT {plan.alignment}",
            "",
            "// Index of the operator that runs k-th.",
            *_array(f"{prefix}_order", plan.order),
            "",
            "// First byte of each tensor in the arena, by tensor index.",
            *_array(f"{prefix}_offsets", offsets),
            "",
            f"#endif  // {guard}",
            "",
        ]
    )


def _array(name: str, values: Sequence[int]) -> list[str]:
    numbers = [str(value) for value in values] or ["0"]
    rows = [", ".join(numbers[start : start + _PER_LINE]) for start in range(0, len(numbers), _PER_LINE)]
    return [f"static const int32_t {name}[{len(numbers)}] = {{", *(f"    {row}," for row in rows), "};"]


def _comment(text: str) -> str:
    """Text that cannot leave a line comment."""
    return re.sub(r"[^\w .,:()+-]", "_", text, flags=re.ASCII)
