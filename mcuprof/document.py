"""The report document, schema version 1: what analysis fills, budgets judge and renderers print.

One `Result` per model × device. Bytes are integers; a number without a basis is null and its reason is said beside it.
`encode` gives the same bytes for the same input: keys sorted, no timestamps.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from mcuprof.cost_document import Arithmetic, Bound, Energy, Exits
from mcuprof.errors import UsageError
from mcuprof.split_document import SplitFront

SCHEMA_VERSION = 1
Severity = Literal["error", "warning", "note"]
# Codes of errors that say only that a number is missing: what fails with these alone is not shown to fit.
UNPROVEN = frozenset({"M106", "M109", "F203", "L302"})


class Tool(msgspec.Struct, frozen=True):
    """Which mcuprof and which device database made the report."""

    name: str
    version: str
    device_db: str


class ModelFacts(msgspec.Struct, frozen=True):
    """The model as stored: `bytes` is the file's size, `macs` the multiply-accumulates of one inference."""

    path: str
    sha256: str
    format: str
    quantization: str
    bytes: int
    operators: int
    macs: int
    parameters: int


class Target(msgspec.Struct, frozen=True):
    """What the model is judged for. `device` is null when only ad-hoc budgets were given.

    `name` is what the config calls this target; it is there only for results that come from a config.
    """

    device: str | None
    core: str | None
    clock_hz: int | None
    runtime: str
    kernels: str
    accelerator: str | None
    name: str | msgspec.UnsetType = msgspec.UNSET


class PeakTensor(msgspec.Struct, frozen=True):
    """A buffer that is live at the peak."""

    name: str
    bytes: int


class Peak(msgspec.Struct, frozen=True):
    """The operator during which most bytes are live, and what they are, largest first."""

    operator_index: int
    operator: str
    live_bytes: int
    tensors: tuple[PeakTensor, ...]


class RegionUse(msgspec.Struct, frozen=True):
    """One memory region: what this model uses, what the firmware keeps, what there is."""

    name: str
    used_bytes: int
    reserved_bytes: int
    capacity_bytes: int


class Strategy(msgspec.Struct, frozen=True):
    """Head bytes under one order and in-place strategy, with the proof and the runtimes that can do it.

    `io` is `outside` where the caller holds inputs and outputs, and absent where the arena does.
    """

    order: str
    in_place: str
    head_bytes: int
    lower_bound_bytes: int
    certificate: str
    runs_on: tuple[str, ...]
    io: str | msgspec.UnsetType = msgspec.UNSET


class Placement(msgspec.Struct, frozen=True):
    """One buffer of the plan: `first` and `last` (inclusive) are operators, counted as they run."""

    tensor: str
    bytes: int
    offset: int
    first: int
    last: int


class SpreadRegion(msgspec.Struct, frozen=True):
    """One region of a spread: the bytes it has for tensors, those used, and those read and written per inference."""

    name: str
    free_bytes: int
    used_bytes: int
    moved_bytes: int


class SpreadPlacement(msgspec.Struct, frozen=True):
    """Where one tensor or scratch block of a spread lies."""

    tensor: str
    bytes: int
    region: str
    offset: int


class Spread(msgspec.Struct, frozen=True):
    """The head's tensors over several regions, the preferred first. A verdict rests on it only if the runtime does it.

    Every region but the last holds what was put there; `fits` says whether the last one does.
    """

    order: str
    in_place: str
    fits: bool
    regions: tuple[SpreadRegion, ...]
    plan: tuple[SpreadPlacement, ...]
    runs_on: tuple[str, ...]


class Memory(msgspec.Struct, frozen=True):
    """RAM of one inference. `arena_bytes` = head + tail = what the runtime reports as used on the 32-bit target.

    `operator_order`, beside the `plan` of an order that is not the file's: the operators' indices as they run.
    """

    order: str
    in_place: str
    arena_bytes: int
    head_bytes: int
    tail_bytes: int
    min_arena_bytes: int
    stack_bytes: int | None
    lower_bound_bytes: int
    certificate: str
    peak: Peak | None
    regions: tuple[RegionUse, ...]
    strategies: tuple[Strategy, ...] | msgspec.UnsetType = msgspec.UNSET
    plan: tuple[Placement, ...] | msgspec.UnsetType = msgspec.UNSET
    operator_order: tuple[int, ...] | msgspec.UnsetType = msgspec.UNSET
    spread: Spread | msgspec.UnsetType = msgspec.UNSET


class FlashItem(msgspec.Struct, frozen=True):
    """One line of the flash bill; `basis` says where the number comes from. The stored model is the item `model`."""

    name: str
    bytes: int
    basis: str


class Flash(msgspec.Struct, frozen=True):
    """The flash bill. `capacity_bytes` is null without a device or budget."""

    total_bytes: int
    capacity_bytes: int | None
    items: tuple[FlashItem, ...]


class OperatorCost(msgspec.Struct, frozen=True):
    """Cost of one operator; null where there is no data."""

    index: int
    operator: str
    kernel: str
    macs: int
    instructions: int | None
    cycles: int | None
    basis: str


class Latency(msgspec.Struct, frozen=True):
    """Time of one inference with its band. `ms` and `cycles` are null where only instructions are known."""

    instructions: int | None
    cycles: int | None
    ms: float | None
    low_ms: float | None
    high_ms: float | None
    basis: str
    operators: tuple[OperatorCost, ...]


class NpuOperator(msgspec.Struct, frozen=True):
    """Where one operator runs once the model is compiled for the NPU. `cycles` are those of the `place` it runs at.

    `bound` says what limits it on the NPU: its arithmetic, or its memories; absent where that is not modelled.
    """

    index: int
    operator: str
    place: Literal["npu", "host"]
    cycles: int | None
    instructions: int | None
    basis: str
    bound: Bound | msgspec.UnsetType = msgspec.UNSET


class Npu(msgspec.Struct, frozen=True):
    """What the model takes when it is compiled for the device's accelerator; the verdict is on the file as it is.

    `cycles` and `ms` are the NPU's alone, at `clock_hz` of the assumed `system`; `host_ms` is what operators left to
    the host take, null where that is not known. `sram_bytes` is the peak of feature maps and weight buffers,
    `traffic` bytes on the bus by memory. Null numbers: `basis` says why. `clock_assumed`: the device does not say its
    own. `doubts` are those of the database about this accelerator, absent where it has none.
    """

    accelerator: str
    system: str | None
    clock_hz: int | None
    cycles: int | None
    ms: float | None
    low_ms: float | None
    high_ms: float | None
    host_ms: float | None
    sram_bytes: int | None
    weight_bytes: int | None
    traffic: dict[str, int]
    basis: str
    operators: tuple[NpuOperator, ...]
    clock_assumed: bool = False
    doubts: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET


class Where(msgspec.Struct, frozen=True):
    """A line (from 1) of a file that people can edit, such as the budget's line in the config."""

    path: str
    line: int


class Finding(msgspec.Struct, frozen=True):
    """Something the user should know: a stable `code`, how bad it is, what to do and how many bytes that saves.

    `where` is the line of the config that asked for what does not hold; absent where nobody wrote one.
    """

    code: str
    severity: Severity
    message: str
    fix: str | None = None
    saves_bytes: int | None = None
    where: Where | msgspec.UnsetType = msgspec.UNSET


class Verdict(msgspec.Struct, frozen=True):
    """`fits` is true only when no finding is an error."""

    fits: bool
    findings: tuple[Finding, ...]


class Result(msgspec.Struct, frozen=True):
    """One model on one target."""

    model: ModelFacts
    target: Target
    memory: Memory
    flash: Flash
    latency: Latency | None
    verdict: Verdict
    latency_reason: str | msgspec.UnsetType = msgspec.UNSET
    npu: Npu | msgspec.UnsetType = msgspec.UNSET
    arithmetic: Arithmetic | msgspec.UnsetType = msgspec.UNSET
    split: SplitFront | msgspec.UnsetType = msgspec.UNSET
    energy: tuple[Energy, ...] | msgspec.UnsetType = msgspec.UNSET
    energy_reason: str | msgspec.UnsetType = msgspec.UNSET
    exits: Exits | msgspec.UnsetType = msgspec.UNSET

    @property
    def layers(self) -> Any:
        """One row an operator (see `report.notebook.layers`): a pandas frame, or dicts where pandas is not there."""
        from mcuprof.report.notebook import layers

        return layers((self,))

    def _repr_html_(self) -> str:
        """How a notebook shows it: the HTML page in a frame."""
        from mcuprof.report.notebook import framed

        return framed((self,))


class Report(msgspec.Struct, frozen=True):
    """The whole document."""

    tool: Tool
    results: tuple[Result, ...]
    schema_version: int = SCHEMA_VERSION

    @property
    def layers(self) -> Any:
        """The rows of all results: a pandas frame, or a list of dicts where pandas is not there."""
        from mcuprof.report.notebook import layers

        return layers(self.results)

    def _repr_html_(self) -> str:
        """How a notebook shows it: the HTML page in a frame."""
        from mcuprof.report.notebook import framed

        return framed(self.results, self.tool)


def encode(report: Report) -> bytes:
    """The document as JSON: keys sorted, two spaces of indentation, a newline at the end."""
    return msgspec.json.format(msgspec.json.encode(report, order="sorted"), indent=2) + b"\n"


def decode(data: bytes) -> Report:
    """The document from JSON. Raises UsageError when it is not a report of this schema version."""
    try:
        report = msgspec.json.decode(data, type=Report)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"not a mcuprof report: {error}") from None
    if report.schema_version != SCHEMA_VERSION:
        raise UsageError(f"report schema {report.schema_version}, this mcuprof reads {SCHEMA_VERSION}")
    return report


def json_schema() -> dict[str, Any]:
    """The document's JSON Schema (draft 2020-12)."""
    return msgspec.json.schema(Report)
