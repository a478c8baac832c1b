"""Splitting for a firmware: the front of arena and work, each point placed and judged by what TFLM makes of the file.

The search knows the most bytes in use at once; a placement may need more. So choices are placed, the most promising
first, until none that is left can be better than what was found; then the best ones are varied.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from mcuprof import memory
from mcuprof.graph import Graph
from mcuprof.memory import Limit, MemoryPlan
from mcuprof.ops import total_macs
from mcuprof.planning.choice import ALIGNMENT, Firmware, Wishes
from mcuprof.progress import Say
from mcuprof.rewrites.split import (
    FINE,
    Choice,
    Option,
    Outline,
    Split,
    Tariff,
    front,
    group_options,
    options,
    split,
    turned,
)
from mcuprof.runtimes import Arena
from mcuprof.runtimes.tflm.lifetimes import with_plan as graph_with_plan
from mcuprof.runtimes.tflm.marginal import marginal
from mcuprof.runtimes.tflm.overlap import OverlapRules, rules
from mcuprof.writers.tflite import ONLINE, FilePlan, with_plan
from mcuprof.writers.tflite_model import to_tflite

PLACEMENTS = 60  # choices placed per search
# A quick placement ranks, a thorough one compares neighbours and is what is shown and written.
QUICK, THOROUGH = Limit(0.0), Limit(4.0)
VARIATIONS = 24
EFFORT = 4000  # operators in all variations that are placed: what one costs grows with them


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """A split that was placed. `work` is what it adds to the MACs of the model as given, as a fraction, with copies.

    `arena` is TFLM's for the rewritten graph under `plan`; `allowed` the sharing rules that the plan keeps.
    """

    choice: Choice
    split: Split
    plan: MemoryPlan
    arena: Arena
    work: float
    allowed: OverlapRules

    @property
    def bytes(self) -> int:
        """The arena that the interpreter needs."""
        return self.arena.min_arena_bytes


@dataclass(slots=True)
class Splitter:
    """Places choices for one graph and firmware, each once.

    `graph` is what is split: canonical, with nothing left to simplify. `macs` are those of the model as it was given.
    """

    graph: Graph
    firmware: Firmware
    wishes: Wishes
    say: Say
    macs: int
    outline: Outline = field(init=False)
    tariff: Tariff = field(init=False)
    dealt: list[Option] = field(init=False)
    strategies: list[tuple[str, OverlapRules]] = field(init=False)
    tail: int = field(init=False)
    placed: dict[tuple[Option, ...], Point] = field(default_factory=dict)
    spent: dict[tuple[Option, ...], Limit] = field(default_factory=dict)
    near: dict[Option, list[Option]] = field(default_factory=dict)
    effort: int = 0

    def __post_init__(self) -> None:
        costs = marginal(self.graph, library=self.firmware.library, core=self.firmware.core)
        self.outline = Outline(self.graph)
        self.tariff = Tariff(
            costs.persistent,
            costs.scratch,
            costs.slice_bytes,
            costs.concatenation_bytes,
            _grains(self.firmware, any(costs.scratch)),
        )
        self.dealt = group_options(self.outline, self.tariff)
        self.strategies = _strategies(self.firmware, self.wishes)
        self.tail = self.firmware.arena(self.graph).tail.nbytes

    def choices(self) -> list[Choice]:
        """The fronts as the search sees them: with what each strategy needs unsplit."""
        scratch = self.firmware.arena(self.graph).scratch(len(self.graph.ops))
        found: dict[Choice, None] = {}
        for strategy, allowed in self.strategies:
            unsplit = memory.plan(
                self.graph, "as-is", strategy, alignment=ALIGNMENT, scratch=scratch, sharing=allowed, limit=QUICK
            )
            found |= dict.fromkeys(front(self.outline, self.tariff, unsplit.footprints, self.say, self.dealt))
        return list(found)

    def place(self, chosen: Sequence[Option], effort: Limit = QUICK) -> Point:
        """The smallest arena for these options; the strategy that asks least of the kernels wins where equal."""
        key = tuple(chosen)
        known = self.placed.get(key)
        if known is None or (effort.seconds > self.spent[key].seconds and not known.plan.optimal):
            points = [self._under(key, strategy, allowed, effort) for strategy, allowed in self.strategies]
            self.placed[key] = min([*points, *([known] if known else [])], key=lambda point: point.bytes)
            self.spent[key] = effort
        return self.placed[key]

    def _under(self, chosen: tuple[Option, ...], strategy: str, allowed: OverlapRules, effort: Limit) -> Point:
        made = split(self.outline, chosen)
        scratch = self.firmware.arena(made.graph).scratch(len(made.graph.ops))
        plan = memory.plan(
            made.graph,
            "as-is",
            strategy,
            alignment=ALIGNMENT,
            scratch=scratch,
            sharing=allowed,
            views=made.views,
            limit=effort,
        )
        arena = self.firmware.arena(graph_with_plan(made.graph, plan.order, plan.offsets))
        work = sum(option.work for option in chosen)
        peak = max((option.peak for option in chosen), default=0)
        choice = Choice(chosen, peak, sum(option.tail for option in chosen), work)
        return Point(choice, made, plan, arena, self.work(work), allowed)

    def work(self, extra: int) -> float:
        """What `extra` work comes to beside the model as it was given, as a fraction of its MACs.

        Below 0 where simplifying took more away than stripes add.
        """
        return (total_macs(self.graph) + extra - self.macs) / max(1, self.macs)

    def least(self, choice: Choice) -> int:
        """What no placement of the choice goes below by more than a few bytes of constants.

        Overlaps inside stripes are not known to the search, so where kernels allow them it is a guess.
        """
        shared = 0 if len(self.strategies) == 1 else choice.peak // 5
        return self.tail + choice.bytes - shared


def front_points(splitter: Splitter, most_work: float | None = None) -> list[Point]:
    """Points that no other beats in arena and work, the least work first; at most `most_work`."""
    choices = [c for c in splitter.choices() if most_work is None or splitter.work(c.work) <= most_work]
    found: list[Point] = [splitter.place(())]
    ranked = sorted(choices, key=lambda c: (c.bytes, c.work))
    for choice in ranked:
        if len(splitter.placed) >= PLACEMENTS:
            break
        if any(p.choice.work <= choice.work and p.bytes <= splitter.least(choice) for p in found):
            continue
        splitter.say(f"placing split {len(splitter.placed)}: {len(choice.options)} regions")
        found.append(splitter.place(choice.options))
    found = _closer(splitter, found)
    best = undominated(found)
    for limit in [most_work] if most_work is not None else [0.025, 0.05, 0.1, None]:
        within = [p for p in best if limit is None or p.work <= limit]
        found += _varied(splitter, within[-1], limit)
    return undominated(_closer(splitter, found))


def _closer(splitter: Splitter, found: Sequence[Point]) -> list[Point]:
    """The same points, those placed with more time that are shown or might be."""
    shown = undominated(found)
    close = sorted((p for p in found if not any(_beats(other, p) for other in shown)), key=lambda p: p.bytes)
    for number, point in enumerate(close[: PLACEMENTS // 2], 1):
        splitter.say(f"placing point {number} more closely")
        splitter.place(point.choice.options, THOROUGH)
    return [splitter.placed[point.choice.options] for point in found]


def _beats(one: Point, other: Point) -> bool:
    """Whether no placement could bring `other` below `one`, which takes no more work."""
    least = other.bytes - other.plan.arena_bytes + other.plan.lower_bound_bytes
    return one is not other and one.work <= other.work and one.bytes <= least


def undominated(points: Sequence[Point]) -> list[Point]:
    """By work; each smaller than all before it."""
    kept: list[Point] = []
    for point in sorted(points, key=lambda p: (p.work, p.bytes)):
        if not kept or point.bytes < kept[-1].bytes:
            kept.append(point)
    return kept


def _varied(splitter: Splitter, point: Point, limit: float | None) -> list[Point]:
    """Points on the way down from this one: one region at a time split in another way, as long as that helps."""
    found = []
    tried = 0
    improved = True
    while improved and tried < VARIATIONS and splitter.effort < EFFORT:
        improved = False
        for number, option in enumerate(point.choice.options):
            for other in _neighbours(splitter, option):
                chosen = (*point.choice.options[:number], other, *point.choice.options[number + 1 :])
                work = splitter.work(sum(o.work for o in chosen))
                tail = splitter.tail + sum(o.tail for o in chosen)
                if (
                    max(tried / VARIATIONS, splitter.effort / EFFORT) >= 1
                    or (limit is not None and work > limit)
                    or splitter.spent.get(chosen, QUICK) != QUICK
                ):
                    continue
                if max(o.peak for o in chosen) + tail >= point.bytes:
                    continue
                tried += 1
                splitter.say(f"varying split {tried}")
                candidate = splitter.place(chosen, THOROUGH)
                splitter.effort += len(candidate.split.graph.ops)
                if candidate.bytes < point.bytes:
                    point, improved = candidate, True
                    found.append(candidate)
                    break
            if improved:
                break
    return found


def _neighbours(splitter: Splitter, option: Option) -> list[Option]:
    """The same region with one stripe or group more or less, even or not, from the other end, with other crops."""
    if option not in splitter.near:
        every = options(splitter.outline, option.region, splitter.tariff, finest=FINE)
        every += [o for o in splitter.dealt if o.region == option.region]
        near = [o for o in every if abs(o.stripes - option.stripes) <= 2]
        for upward in [] if option.channels else turned(splitter.outline, option, splitter.tariff, FINE):
            if abs(upward.stripes - option.stripes) <= 1:
                near.append(upward)
        near.sort(key=lambda o: (o.peak + o.tail, o.work))
        splitter.near[option] = [o for o in dict.fromkeys(near) if o != option][:12]
    return splitter.near[option]


def _grains(firmware: Firmware, scratch: bool) -> tuple[int, ...]:
    """What views must be aligned to: int8 kernels of TFLM and CMSIS-NN take any address (words are read by memcpy);
    vector kernels of ESP-NN ask for 16. TFLM puts scratch right behind tensors: where there is any, views keep to 16.
    """
    fine = firmware.library in ("reference", "cmsis-nn") and not scratch
    return (ALIGNMENT, 4) if fine else (ALIGNMENT,)


def _strategies(firmware: Firmware, wishes: Wishes) -> list[tuple[str, OverlapRules]]:
    portable = rules(firmware.library, firmware.core, portable=True)
    if wishes.in_place == "none":
        return [("none", portable)]
    return [("none", portable), (wishes.in_place, portable)]


def written(point: Point) -> tuple[bytes, bytes]:
    """(the file without a plan, the file with it)."""
    plain = to_tflite(point.split.graph)
    offsets = tuple(ONLINE if offset is None else offset for offset in point.plan.offsets)
    return plain, with_plan(plain, FilePlan(point.plan.order, offsets))


def resolver_additions(before: Graph, after: Graph) -> tuple[str, ...]:
    """Operator kinds that the firmware's resolver must add."""
    return tuple(sorted({op.kind for op in after.ops} - {op.kind for op in before.ops}))
