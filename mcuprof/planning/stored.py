"""Plans that were written before, read back for execution: plan JSON, a C header, a planned .tflite file, a report.

What a file says is not believed: it must be about this very model and place every tensor, or it is refused here;
whether the places are right is for the execution to show.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from mcuprof.document import Placement
from mcuprof.errors import ModelError, UsageError
from mcuprof.graph import Graph
from mcuprof.memory.problem import placed_tensors
from mcuprof.ops.sharing import STRATEGIES
from mcuprof.ops.traversal import Walk
from mcuprof.planning.choice import Firmware
from mcuprof.runtimes.tflm.overlap import walk, walk_named
from mcuprof.writers.header import BEGINNING, Header, read_c_header

ARENA_LIMIT = 256 * 1024 * 1024  # every byte of an executed arena has a mark of 4 bytes, every tensor's byte another

Span = tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class StoredPlan:
    """A plan from a file, as `runner.arena.Plan` wants it, and the order of reads that it relies on.

    `views` names every placed tensor: bytes then die one by one when they have been read for the last time, which
    follows from the order alone, so that the file's word on lifetimes is not needed.
    """

    order: tuple[int, ...]
    offsets: tuple[int | None, ...]
    scratch: tuple[tuple[Span, ...], ...]
    strategy: str
    arena_bytes: int
    walk: Walk

    @property
    def lifetimes(self) -> Sequence[Span | None]:
        """None for every tensor: see `views`."""
        return (None,) * len(self.offsets)

    @property
    def views(self) -> Mapping[int, object]:
        """The placed tensors."""
        return {tensor: None for tensor, offset in enumerate(self.offsets) if offset is not None}


def stored_plan(graph: Graph, path: str, firmware: Firmware | None = None, device: str | None = None) -> StoredPlan:
    """The plan for `graph` in the file `path`.

    `firmware` says whose kernels run it (default: the ones that the file names, else the reference kernels); `device`
    chooses among the results of a report document. Raises UsageError for a file that cannot be read, holds no plan, or
    holds one of another model.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: {(error.strerror or str(error)).lower()}") from None
    try:
        if data[4:8] == b"TFL3":
            plan = _from_tflite(graph, data, firmware)
        elif data.startswith(BEGINNING):
            plan = _from_header(graph, read_c_header(data), firmware)
        elif data.lstrip()[:1] == b"{":
            plan = _from_json(graph, data, firmware, device)
        else:
            raise UsageError("holds no plan: name plan JSON, a C header of mcuprof, a planned .tflite file or a report")
        _check(graph, plan)
    except (UsageError, ModelError) as error:
        raise UsageError(f"{path}: {error}") from None
    return plan


def _check(graph: Graph, plan: StoredPlan) -> None:
    if sorted(plan.order) != list(range(len(graph.ops))):
        raise UsageError("a broken plan: it does not run every operator exactly once")
    if plan.strategy not in STRATEGIES:
        raise UsageError(f"a broken plan: no in-place strategy {plan.strategy!r}")
    if not 0 <= plan.arena_bytes <= ARENA_LIMIT:
        raise UsageError(f"an arena of {plan.arena_bytes:,} B cannot be executed (limit: {ARENA_LIMIT:,} B)")
    for tensor in placed_tensors(graph):
        if plan.offsets[tensor] is None:
            raise UsageError(f"a broken plan: it has no place for tensor {graph.tensors[tensor].name!r}")
    # Spans are (offset, bytes).
    spans = [span for blocks in plan.scratch for span in blocks]
    spans += [(at, graph.tensors[tensor].nbytes) for tensor, at in enumerate(plan.offsets) if at is not None]
    for start, size in spans:
        if start < 0 or size < 0 or start + size > plan.arena_bytes:
            raise UsageError(f"a broken plan: bytes {start} to {start + size} of an arena of {plan.arena_bytes}")


def _same_model(graph: Graph, digest: str, name: str) -> None:
    if digest != graph.origin.sha256:
        raise UsageError(f"is a plan of another model ({name}, SHA-256 {digest[:12]}…)")


# Planned .tflite files -----------------------------------------------------------------------------------------------


def _from_tflite(graph: Graph, data: bytes, firmware: Firmware | None) -> StoredPlan:
    """What TFLM makes of the file: its offline plan, and its own planner for whatever that leaves open."""
    from mcuprof.readers.tflite import read_tflite
    from mcuprof.writers.tflite import stored_order, strip

    planned = read_tflite(data, {})
    if planned.subgraphs:
        raise UsageError("has several subgraphs: no plan of one arena can be read from it")
    order = tuple(range(len(planned.ops)))
    if hashlib.sha256(data).hexdigest() != graph.origin.sha256:
        digest = hashlib.sha256(strip(data)).hexdigest()
        _same_model(graph, digest, "pruned, split or of other origin; verify the file itself with its own plan")
        order = stored_order(planned.origin.metadata, len(planned.ops))
    runs_on = firmware or Firmware("reference")
    arena = runs_on.arena(planned)
    offsets: list[int | None] = [None] * len(planned.tensors)
    scratch: list[list[Span]] = [[] for _ in planned.ops]
    for request, offset in zip(arena.requests, arena.offsets, strict=True):
        if request.tensor is not None:
            offsets[request.tensor] = offset
        elif request.op is not None:
            scratch[order[request.op]].append((offset, request.nbytes))
    reach = (at + request.nbytes for request, at in zip(arena.requests, arena.offsets, strict=True))
    return StoredPlan(
        order,
        tuple(offsets),
        tuple(map(tuple, scratch)),
        "overlap",
        max(arena.head_bytes, *reach, 0),
        walk(runs_on.library, runs_on.core),
    )


# C headers ------------------------------------------------------------------------------------------------------------


def _from_header(graph: Graph, header: Header, firmware: Firmware | None) -> StoredPlan:
    _same_model(graph, header.sha256, header.name)
    if len(header.offsets) != len(graph.tensors):
        raise UsageError(f"a broken plan: it knows {len(header.offsets)} tensors of {len(graph.tensors)}")
    return StoredPlan(
        header.order,
        header.offsets,
        _by_operator(graph, header.scratch),
        header.strategy,
        header.arena_bytes,
        walk(firmware.library, firmware.core) if firmware else walk_named(header.kernels),
    )


def _by_operator(graph: Graph, blocks: Iterable[tuple[int, int, int]]) -> tuple[tuple[Span, ...], ...]:
    """(operator, offset, bytes) of each block → the blocks of each operator."""
    scratch: list[list[Span]] = [[] for _ in graph.ops]
    for operator, offset, size in blocks:
        if not 0 <= operator < len(scratch):
            raise UsageError(f"a broken plan: operator {operator} does not exist")
        scratch[operator].append((offset, size))
    return tuple(map(tuple, scratch))


# JSON -----------------------------------------------------------------------------------------------------------------


class _Model(msgspec.Struct, frozen=True):
    sha256: str
    name: str = ""
    path: str = ""


class _Tensor(msgspec.Struct, frozen=True):
    index: int
    name: str
    bytes: int
    offset: int


class _Scratch(msgspec.Struct, frozen=True):
    operator: int
    offset: int
    bytes: int


class _Plan(msgspec.Struct, frozen=True):
    schema_version: int
    model: _Model
    kernels: str
    in_place: str
    arena_bytes: int
    order: tuple[int, ...]
    tensors: tuple[_Tensor, ...]
    scratch: tuple[_Scratch, ...]


class _Memory(msgspec.Struct, frozen=True):
    head_bytes: int
    order: str = "as-is"
    plan: tuple[Placement, ...] = ()
    operator_order: tuple[int, ...] | None = None


class _Target(msgspec.Struct, frozen=True):
    device: str | None = None
    kernels: str | None = None


class _Result(msgspec.Struct, frozen=True):
    model: _Model
    target: _Target | None = None
    memory: _Memory | None = None


class _Report(msgspec.Struct, frozen=True):
    schema_version: int
    results: tuple[_Result, ...]


def _from_json(graph: Graph, data: bytes, firmware: Firmware | None, device: str | None) -> StoredPlan:
    try:
        top = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
        if "results" in top:
            return _from_report(graph, msgspec.json.decode(data, type=_Report), firmware, device)
        stored = msgspec.json.decode(data, type=_Plan)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"is not a plan that mcuprof wrote ({error})") from None
    if stored.schema_version != 1:
        raise UsageError(f"is plan JSON of version {stored.schema_version}; this mcuprof reads version 1")
    _same_model(graph, stored.model.sha256, stored.model.name)
    offsets: list[int | None] = [None] * len(graph.tensors)
    for row in stored.tensors:
        if not 0 <= row.index < len(offsets) or offsets[row.index] is not None:
            raise UsageError(f"a broken plan: tensor {row.index} does not exist or is placed twice")
        tensor = graph.tensors[row.index]
        if (row.name, row.bytes) != (tensor.name, tensor.nbytes):
            raise UsageError(f"a broken plan: tensor {row.index} is {tensor.name!r} of {tensor.nbytes} B")
        offsets[row.index] = row.offset
    return StoredPlan(
        stored.order,
        tuple(offsets),
        _by_operator(graph, ((block.operator, block.offset, block.bytes) for block in stored.scratch)),
        stored.in_place,
        stored.arena_bytes,
        walk(firmware.library, firmware.core) if firmware else walk_named(stored.kernels),
    )


def _from_report(graph: Graph, report: _Report, firmware: Firmware | None, device: str | None) -> StoredPlan:
    """The head as the runtime lays it out: `memory.plan` of the result for this model and device."""
    if report.schema_version != 1:
        raise UsageError(f"is a report of schema version {report.schema_version}; this mcuprof reads version 1")
    found = [result for result in report.results if result.model.sha256 == graph.origin.sha256]
    if not found:
        raise UsageError("is a report on other models")
    if device is not None:
        found = [result for result in found if result.target and result.target.device == device]
    plans = [result for result in found if result.memory and result.memory.plan]
    if not plans:
        raise UsageError("holds no plan of this model (mcuprof analyze MODEL -f json writes one)")
    if len(plans) > 1:
        raise UsageError(f"holds {len(plans)} plans of this model: choose one with -d DEVICE")
    memory = plans[0].memory
    assert memory is not None, "chosen because it is there"
    if memory.order != "as-is" and memory.operator_order is None:
        raise UsageError("a broken plan: it does not say in which order the operators run")
    numbers: dict[str, int] = {}
    doubled: set[str] = set()
    for index in placed_tensors(graph):
        name = graph.tensors[index].name
        if name in numbers:
            doubled.add(name)
        numbers[name] = index
    offsets: list[int | None] = [None] * len(graph.tensors)
    scratch: list[tuple[int, int, int]] = []
    for row in memory.plan:
        owner = re.fullmatch(r"scratch of operator (\d{1,9}) \(.*\)", row.tensor)
        if owner:
            scratch.append((int(owner[1]), row.offset, row.bytes))
        elif row.tensor in doubled:
            raise UsageError(f"names two tensors {row.tensor!r}: which is which cannot be told")
        elif row.tensor not in numbers:
            raise UsageError(f"a broken plan: no tensor is named {row.tensor!r}")
        else:
            offsets[numbers[row.tensor]] = row.offset
    kernels = plans[0].target.kernels if plans[0].target else None
    return StoredPlan(
        memory.operator_order or tuple(range(len(graph.ops))),
        tuple(offsets),
        _by_operator(graph, scratch),
        "overlap",
        memory.head_bytes,
        walk(firmware.library, firmware.core) if firmware else walk_named(kernels or "reference"),
    )
