"""A plan as JSON, for people who do not use TFLM; `header.py` has it for C."""

from __future__ import annotations

import json

from mcuprof.graph import Graph
from mcuprof.memory import MemoryPlan

SCHEMA_VERSION = 1


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
