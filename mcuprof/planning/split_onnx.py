"""Splitting ONNX models: the same search, for a runtime of which only the tensors are known, and the file made of it.

No runtime for ONNX takes a plan that lays tensors on one another, so slices, pieces and joints are counted with memory
of their own: the arena is what any runtime reaches that plans whole tensors well, without what it needs itself.
"""

from __future__ import annotations

from dataclasses import dataclass

from mcuprof import memory
from mcuprof.errors import ModelError, PlanError
from mcuprof.graph import DType, Graph
from mcuprof.memory import Limit, MemoryPlan
from mcuprof.ops import total_macs
from mcuprof.planning.choice import ALIGNMENT, Firmware, Wishes
from mcuprof.planning.onnx_proof import alike
from mcuprof.planning.proof import Step, checked
from mcuprof.planning.split_orchestrate import Limits, chosen
from mcuprof.planning.splitting import Point, Splitter, front_points
from mcuprof.progress import Say, silent
from mcuprof.readers.onnx import read_onnx
from mcuprof.readers.onnx.load import parse
from mcuprof.rewrites.split import Choice, Option, Outline, Tariff, prove, split
from mcuprof.rewrites.split.images import can_divide, image_of
from mcuprof.runtimes import Arena
from mcuprof.runtimes.tflm.overlap import OverlapRules, rules
from mcuprof.runtimes.tflm.persistent import Tail
from mcuprof.writers.onnx_nodes import Nodes
from mcuprof.writers.onnx_stripes import refusal, striped

INPUTS = 5
_WHOLE_BYTES = tuple(dtype for dtype in DType if dtype.bits and dtype.bits % 8 == 0)  # Slice and Concat take any type
_ANY_NUMBER = 1 << 30  # of inputs of a Concat


@dataclass(frozen=True, slots=True, eq=False)
class OnnxSplit:
    """The outcome: `data` is the file to write. `point` is None, and `data` as it was, where no split is smaller.

    `graph` is what the reader makes of `data`, `plan` places its tensors, `before` those of the model as it was;
    `front` is what there was to choose from.
    """

    graph: Graph
    data: bytes
    point: Point | None
    before: MemoryPlan
    plan: MemoryPlan
    front: tuple[Point, ...]
    steps: tuple[Step, ...]


def split_onnx(
    graph: Graph, data: bytes, limits: Limits | None = None, say: Say = silent, inputs: int = INPUTS
) -> OnnxSplit:
    """The split of `graph` (what the reader made of `data`) that the limits ask for, proven.

    Raises ModelError for a file that cannot be written in stripes, PlanError where nothing reaches the limits or a
    value differs. Nothing should then be written.
    """
    limits = limits or Limits()
    model = parse(data)
    nodes = Nodes(model, graph)
    if reason := refusal(model, graph):
        raise ModelError(f"cannot be split: {reason}")
    splitter = tensor_splitter(graph, nodes, say)
    before = memory.plan(graph, "as-is", "none", alignment=ALIGNMENT)
    front = tuple(front_points(splitter, limits.most_work))
    point = chosen(front, before.arena_bytes, limits, splitter)
    if point is None:
        return OnnxSplit(graph, data, None, before, before, front, ())
    written = emitted(model, nodes, point)
    found = read_onnx(written, "", {})
    plan = memory.plan(found, "as-is", "none", alignment=ALIGNMENT)
    steps = [
        Step(f"rows: {prove(splitter.graph, point.split):,} rows of stripes read what the original's rows read"),
        same_network(point.split.graph, found),
        checked(found, plan, rules("reference", None), [[] for _ in found.ops]),
        *alike((graph, data), (found, written), say, inputs),
    ]
    if not any(step.executed for step in steps):
        raise ModelError("the split could not be executed, so it is not written")
    return OnnxSplit(found, written, point, before, plan, front, tuple(steps))


def split_front_onnx(graph: Graph, data: bytes, say: Say = silent) -> tuple[Point, ...]:
    """What there is to choose from, without any limit; nothing is proven or written. Raises ModelError."""
    model = parse(data)
    if reason := refusal(model, graph):
        raise ModelError(f"cannot be split: {reason}")
    return tuple(front_points(tensor_splitter(graph, Nodes(model, graph), say)))


def emitted(model: object, nodes: Nodes, point: Point) -> bytes:
    """The file of a point: `model` is what `readers.onnx.load.parse` gives, `nodes` its nodes."""
    return striped(model, nodes, point.split.graph, point.split.origins, point.split.tensors)


def tensor_splitter(graph: Graph, nodes: Nodes, say: Say = silent) -> TensorSplitter:
    """The search for `graph`. Raises ModelError where not one operator can be run on stripes."""
    reasons = {index: nodes.whole(op) for index, op in enumerate(graph.ops) if can_divide(graph, op)}
    divisible = {index for index, reason in reasons.items() if not reason}
    if not divisible:
        first = next(iter(reasons.items()), None)
        why = (
            "none makes an image"
            if first is None
            else f"operator {first[0]} ({graph.ops[first[0]].source}): {first[1]}"
        )
        raise ModelError(f"cannot be split: no operator can be run on rows of its input ({why})")
    image = image_of(graph, divisible)
    return TensorSplitter(image, _Tensors("reference"), Wishes("as-is", "none"), say, total_macs(graph))


class TensorSplitter(Splitter):
    """Places choices for a runtime that adds nothing to the tensors. `graph` is the image, `macs` the model's."""

    __slots__ = ()

    def __post_init__(self) -> None:
        none = (0,) * len(self.graph.ops)
        self.outline = Outline(self.graph, _WHOLE_BYTES)
        self.tariff = Tariff(none, none, 0, 0, (1,), apart=True)
        self.dealt = []
        self.strategies = [("none", rules("reference", None))]
        self.tail = 0

    def work(self, extra: int) -> float:
        """As a fraction of the model's MACs; the image knows those of operators that can be divided only."""
        return extra / max(1, self.macs)

    def _under(self, chosen: tuple[Option, ...], strategy: str, allowed: OverlapRules, effort: Limit) -> Point:
        made = split(self.outline, chosen, _ANY_NUMBER)
        plan = memory.plan(made.graph, "as-is", strategy, alignment=ALIGNMENT, limit=effort)
        work = sum(option.work for option in chosen)
        choice = Choice(chosen, max((option.peak for option in chosen), default=0), 0, work)
        return Point(choice, made, plan, _arena(plan.arena_bytes), self.work(work), allowed)


class _Tensors(Firmware):
    """A runtime that adds nothing."""

    __slots__ = ()

    def arena(self, graph: Graph) -> Arena:
        return _arena(0)


def _arena(nbytes: int) -> Arena:
    return Arena((), (), {}, Tail((), 0, 0, ()), nbytes, nbytes, ())


def same_network(image: Graph, found: Graph) -> Step:
    """The file that was written, read again, has the operators and tensors that were planned. Raises PlanError."""
    kinds = [
        (op.kind.removeprefix("whole "), found_op.kind) for op, found_op in zip(image.ops, found.ops, strict=False)
    ]
    sizes = [sorted(graph.tensors[index].nbytes for index in graph.producer) for graph in (image, found)]
    wrong = next((number for number, (one, other) in enumerate(kinds) if one != other and one != "SLICE"), None)
    if wrong is not None or len(image.ops) != len(found.ops) or sizes[0] != sizes[1]:
        raise PlanError(
            f"the written file reads as another network: {len(found.ops)} operators for {len(image.ops)}"
            + ("" if wrong is None else f", operator {wrong} is {kinds[wrong][1]}, not {kinds[wrong][0]}")
        )
    return Step(f"read back: {len(found.ops)} operators, as planned")
