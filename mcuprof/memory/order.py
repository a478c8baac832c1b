"""The operator order with the least peak: exact search over downsets, with a bound when time runs out.

Best-first on the largest footprint so far. Three rules keep the number of open downsets small; P is the footprint bound
of the state at hand, `net` the change of live bytes by a block. Each replaces every continuation from a state T by one
that is no worse, by submodularity (downsets.py): adding steps to T only lowers net, and only frees more inputs.
 - eager: a block with footprint ≤ P and net ≤ 0 runs at once.
 - chain: the same for a chain of blocks, each a successor of the one before, once its live bytes are back at T's or
   below: the downsets between are its prefixes, and all have more live bytes.
 - valley: when a reached R has no more live bytes than any downset between the last valley and R (one cut tells), every
   other open state can be dropped.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Literal

from mcuprof.memory.bounds import SECONDS_PER_ARC, downset_bound, working_set
from mcuprof.memory.contraction import contract, mask_of
from mcuprof.memory.downsets import Downsets, bits
from mcuprof.memory.effort import Budget, Limit
from mcuprof.memory.liveness import peak
from mcuprof.memory.problem import Problem

Order = tuple[int, ...]
MAX_CHAIN = 16
# Networks for microcontrollers have hundreds of operators; with many thousands not even the start is in time.
MAX_STEPS = 4_000
# Where effort.py was measured: for a block tried or run, for a bit of its masks, for a step tried by `orders_below`.
SECONDS_PER_BLOCK, SECONDS_PER_BIT, SECONDS_PER_STEP = 1e-6, 1e-9, 1e-7


@dataclass(frozen=True, slots=True)
class OrderResult:
    """The best order found, its peak and a lower bound for all orders, both in bytes.

    `proof` says where the bound comes from: `bound` (a cut at step `witness`) or `search`. `states` were opened.
    """

    order: Order
    peak: int
    bound: int
    proof: Literal["bound", "search"]
    witness: int
    states: int = 0


@dataclass(frozen=True, slots=True)
class _State:
    """A downset, the blocks ready to run as a bit mask, live bytes, and the largest footprint on the way."""

    done: int
    ready: int
    live: int
    peak: int


def best_order(problem: Problem, budget: Budget | None = None) -> OrderResult:
    """An order of least peak, proven or with the best bound reached within `budget` (default: 10 s)."""
    budget = budget or Limit(10.0).start()
    given = tuple(range(len(problem.steps)))
    upper = peak(problem, given)
    least = working_set(problem)
    if least.bytes >= upper or len(problem.steps) > MAX_STEPS:
        return OrderResult(given, upper, least.bytes, "bound", least.witness)
    search = _Search(problem, budget)
    known = [given, search.greedy(search.start(0), given[:1])]
    best = min(known, key=lambda order: peak(problem, order))
    upper = peak(problem, best)
    bound = downset_bound(problem, known, budget.part(1 / 3))
    if bound.bytes >= upper:
        return OrderResult(best, upper, bound.bytes, "bound", bound.witness)
    found, reached = search.run(bound.bytes, upper)
    best = found or best
    upper = peak(problem, best)
    if bound.bytes >= upper or reached <= bound.bytes:
        return OrderResult(best, upper, bound.bytes, "bound", bound.witness, search.states)
    return OrderResult(best, upper, min(reached, upper), "search", bound.witness, search.states)


def orders_below(problem: Problem, limit: int, most: int, budget: Budget) -> list[Order] | None:
    """All orders with a peak below `limit`; None when there are more than `most`, or the search for them gets long."""
    downsets = Downsets(problem)
    count = len(problem.steps)
    found: list[Order] = []
    todo: list[tuple[Order, int, int]] = [((0,), 1, downsets.live(1))]
    for _ in range(most * count):
        if not todo or len(found) > most or budget.over:
            break
        budget.spend(count * SECONDS_PER_STEP)
        order, done, live = todo.pop()
        if len(order) == count:
            found.append(order)
        for step in reversed(range(count)):
            if not done >> step & 1 and not downsets.before[step] & ~done:
                rise, net = downsets.effect((step,), done)
                if live + rise < limit:
                    todo.append(((*order, step), done | 1 << step, live + net))
    return None if todo or len(found) > most else found


class _Search:
    """Best-first search over downsets of blocks."""

    def __init__(self, problem: Problem, budget: Budget) -> None:
        self.problem = problem
        self.budget = budget
        self.states = 0
        self._downsets = Downsets(problem)
        self._blocks = contract(self._downsets)
        self._masks = [mask_of(block) for block in self._blocks]
        home = {step: number for number, block in enumerate(self._blocks) for step in block}
        self._before = []
        self._behind: list[list[int]] = []
        self._relevant = []
        for block, mask in zip(self._blocks, self._masks, strict=True):
            before = behind = relevant = 0
            for step in block:
                before |= self._downsets.before[step]
                behind |= self._downsets.behind[step]
                for source in problem.steps[step].inputs:
                    relevant |= self._downsets.readers[source]
            self._before.append(before & ~mask)
            self._behind.append(sorted({home[step] for step in bits(behind & ~mask)}))
            self._relevant.append(relevant & ~mask)
        self._effects: list[dict[int, tuple[int, int]]] = [{} for _ in self._blocks]
        self._tried = 0

    def start(self, floor: int) -> _State:
        """The state after the caller has written the inputs."""
        ready = sum(1 << number for number, before in enumerate(self._before) if not before & ~1)
        loaded = sum(self.problem.buffers[output].bytes for output in self.problem.steps[0].outputs)
        return _State(1, ready, self._downsets.live(1), max(floor, loaded))

    def run(self, floor: int, ceiling: int) -> tuple[Order | None, int]:
        """The best order with a peak below `ceiling`, None if there is none or time ran out; and a proven lower bound.

        `floor` is a known lower bound. The second value is the peak when an order is returned.
        """
        root, path = self._advance(self.start(floor))
        parents: dict[int, tuple[int, tuple[int, ...]]] = {root.done: (0, path)}
        best = {root.done: root.peak}
        heap = [self._entry(root)]
        lowest = root.live
        while heap:
            state = heapq.heappop(heap)[-1]
            if best.get(state.done, 0) < state.peak:
                continue
            if state.done == self._downsets.all:
                return self._trace(parents, state.done), state.peak
            self.states += 1
            self._account()
            if self.states % 64 == 0 and self.budget.over:
                return None, min(state.peak, ceiling)
            if state.live <= lowest and state is not root:
                lowest = state.live
                outside = self._downsets.all & ~state.done
                if self._downsets.least_live(root.done, outside) >= state.live:
                    heap, best, root = [], {state.done: state.peak}, state
            for block in bits(state.ready):
                rise, net = self._effect(block, state.done)
                if state.live + rise >= ceiling:
                    continue
                child, path = self._advance(self._execute(state, block, rise, net))
                if child.peak < best.get(child.done, ceiling):
                    best[child.done] = child.peak
                    parents[child.done] = (state.done, (block, *path))
                    heapq.heappush(heap, self._entry(child))
        return None, ceiling

    def greedy(self, state: _State, prefix: Order) -> Order:
        """Completes `prefix` (the steps of `state`) by whatever raises the peak least, then the live bytes least."""
        order = list(prefix)
        while state.ready:
            effects = ((*self._effect(block, state.done), block) for block in bits(state.ready))
            rise, net, block = min(effects, key=lambda effect: (max(state.peak, state.live + effect[0]), effect[1]))
            state = self._execute(state, block, rise, net)
            order += self._blocks[block]
        return tuple(order)

    @staticmethod
    def _entry(state: _State) -> tuple[int, int, int, int, _State]:
        return state.peak, state.live, -state.done.bit_count(), state.done, state

    def _execute(self, state: _State, block: int, rise: int, net: int) -> _State:
        done = state.done | self._masks[block]
        ready = state.ready ^ 1 << block
        for other in self._behind[block]:
            if not self._before[other] & ~done:
                ready |= 1 << other
        return _State(done, ready, state.live + net, max(state.peak, state.live + rise))

    def _advance(self, state: _State) -> tuple[_State, tuple[int, ...]]:
        """Runs all that the eager and chain rules allow; the blocks run, in order."""
        path: list[int] = []
        progress = True
        while progress:
            progress = False
            for block in bits(state.ready):
                rise, net = self._effect(block, state.done)
                if state.live + rise > state.peak:
                    continue
                after = self._execute(state, block, rise, net)
                chain = (block,) if net <= 0 else self._descend(state, after, block)
                if chain:
                    for link in chain:
                        state = self._execute(state, link, *self._effect(link, state.done))
                    path += chain
                    progress = True
                    break
        return state, tuple(path)

    def _descend(self, base: _State, state: _State, last: int) -> tuple[int, ...]:
        """A chain that starts with `last`, keeps to the peak and brings the live bytes back to the base's; else ()."""
        chain = [last]
        while len(chain) < MAX_CHAIN:
            options = [
                (net, rise, block)
                for block in self._behind[chain[-1]]
                if state.ready >> block & 1
                for rise, net in [self._effect(block, state.done)]
                if state.live + rise <= base.peak
            ]
            if not options:
                return ()
            net, rise, block = min(options)
            state = self._execute(state, block, rise, net)
            chain.append(block)
            if state.live <= base.live:
                return tuple(chain)
        return ()

    def _effect(self, block: int, done: int) -> tuple[int, int]:
        """Footprint above the live bytes, and change of live bytes, when `block` runs after `done`."""
        self._tried += 1
        key = done & self._relevant[block]
        effect = self._effects[block].get(key)
        if effect is None:
            effect = self._effects[block][key] = self._downsets.effect(self._blocks[block], done)
        return effect

    def _account(self) -> None:
        """Spends what was done since the last time."""
        per_block = SECONDS_PER_BLOCK + len(self.problem.steps) * SECONDS_PER_BIT
        self.budget.spend(self._tried * per_block + self._downsets.work * SECONDS_PER_ARC)
        self._tried = self._downsets.work = 0

    def _trace(self, parents: dict[int, tuple[int, tuple[int, ...]]], done: int) -> Order:
        blocks: list[int] = []
        while done:
            done, path = parents[done]
            blocks[:0] = path
        return (0, *(step for block in blocks for step in self._blocks[block]))
