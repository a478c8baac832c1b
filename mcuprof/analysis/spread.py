"""The tensors of one plan over a device's regions: what would lie where, were the arena not one block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcuprof.document import Spread, SpreadPlacement, SpreadRegion
from mcuprof.graph import Graph

if TYPE_CHECKING:
    from mcuprof.memory import MemoryPlan, RegionPlan, Sharing

# The spread is an outlook beside the verdict: seconds of work, and its share of a limit that was given by hand.
EFFORT, SHARE = 1.0, 0.1


@dataclass(frozen=True, slots=True, eq=False)
class Spreadable:
    """A plan with what it was made from. Scratch: bytes per operator; `time_limit`: one given by hand, in seconds."""

    graph: Graph
    plan: MemoryPlan
    scratch: Sequence[Sequence[int]]
    sharing: Sharing
    time_limit: float | None

    def over(self, rooms: Sequence[tuple[str, int]]) -> Spread:
        """The plan's tensors over `rooms`: (name, free bytes), the preferred first; there must be one.

        `runs_on` is empty: every runtime of `mcuprof.runtimes` allocates tensors from one block.
        """
        from mcuprof import memory

        by_hand = None if self.time_limit is None else self.time_limit * SHARE
        limit = memory.limit_of(by_hand, EFFORT)
        found = memory.spread(self.graph, self.plan, rooms, scratch=self.scratch, sharing=self.sharing, limit=limit)
        regions = tuple(
            SpreadRegion(use.name, use.capacity_bytes, use.used_bytes, use.moved_bytes) for use in found.regions
        )
        return Spread(self.plan.schedule, self.plan.strategy, found.fits, regions, self._placements(found), ())

    def _placements(self, found: RegionPlan) -> tuple[SpreadPlacement, ...]:
        rows = [
            (*place, tensor.name, tensor.nbytes)
            for tensor, place in zip(self.graph.tensors, found.tensors, strict=True)
            if place is not None
        ]
        asked = [[size for size in sizes if size] for sizes in self.scratch]
        for number, (op, places, sizes) in enumerate(zip(self.graph.ops, found.scratch, asked, strict=True)):
            name = f"scratch of operator {number} ({op.kind})"
            rows += [(*place, name, size) for place, size in zip(places, sizes, strict=True)]
        names = [use.name for use in found.regions]
        return tuple(SpreadPlacement(name, size, names[region], offset) for region, offset, name, size in sorted(rows))
