"""Steps that some best order runs in one go, so that the search need not tell them apart.

**Delay.** Let all direct successors of block V lie in block W. Take any order and move V to just before W. It gets no
worse when
 1. V never lowers the live bytes: what it leaves alive is at least all that it could free. Then every step that V is
    moved past sees no more live bytes than before.
 2. V's own footprint, now just before W, is at most that which W has there in the first place: per phase of V, bytes
    above the live bytes before V, plus inputs that V may yet free, less what it leaves ≤ W's footprint above the live
    bytes before W.
 3. no step outside V and W may overwrite an input of V: it might have lost that input's last reader.
Blocks already joined move as one, so the argument repeats; blocks grow until no pair qualifies.
"""

from __future__ import annotations

from mcuprof.memory.downsets import Downsets, bits
from mcuprof.memory.liveness import saved_bytes

Block = tuple[int, ...]


def contract(downsets: Downsets) -> list[Block]:
    """The operators' steps as blocks of steps to run in a row; the caller's step 0 is not in any."""
    home: dict[int, Block] = {step: (step,) for step in range(1, len(downsets.problem.steps))}
    waiting = sorted(home, reverse=True)
    while waiting:
        block = home[waiting.pop()]
        mask = mask_of(block)
        behind = 0
        for step in block:
            behind |= downsets.behind[step]
        behind &= ~mask
        if not behind:
            continue
        follower = home[next(bits(behind))]
        if behind & ~mask_of(follower) or not _delays(downsets, block, follower):
            continue
        joined = block + follower
        home.update(dict.fromkeys(joined, joined))
        waiting.append(joined[0])
        # What feeds the joined block may now qualify.
        for step in joined:
            waiting.extend(other for other in bits(downsets.before[step]) if other and home[other] is not joined)
    return sorted(set(home.values()))


def mask_of(block: Block) -> int:
    """The block's steps as a bit mask."""
    return sum(1 << step for step in block)


def _delays(downsets: Downsets, block: Block, follower: Block) -> bool:
    """Whether moving `block` to just before `follower` never makes an order worse (rules 1 to 3 above)."""
    problem = downsets.problem
    mask = mask_of(block)
    external = {
        source
        for step in block
        for source in problem.steps[step].inputs
        if not mask >> problem.buffers[source].producer & 1
    }
    both = mask | mask_of(follower)
    for source in external:
        for reader in bits(downsets.readers[source] & downsets.all & ~both):
            if any(overlay.source == source for overlay in problem.steps[reader].overlays):
                return False
    phases, freeable, left = _profile(downsets, block, external, pessimistic=True)
    if left < sum(freeable):
        return False
    reached, freed, _ = _profile(downsets, follower, _external(downsets, follower), pessimistic=False)
    limit = max(rise - sum(freed[:phase]) for phase, rise in enumerate(reached))
    return all(rise + sum(freeable[phase:]) - left <= limit for phase, rise in enumerate(phases))


def _external(downsets: Downsets, block: Block) -> set[int]:
    """Buffers that `block` reads and does not write."""
    problem, mask = downsets.problem, mask_of(block)
    read = {source for step in block for source in problem.steps[step].inputs}
    return {source for source in read if not mask >> problem.buffers[source].producer & 1}


def _profile(
    downsets: Downsets, block: Block, external: set[int], *, pessimistic: bool
) -> tuple[list[int], list[int], int]:
    """Per phase of `block` its bytes above the live bytes before it and the external bytes it may free; the bytes left.

    External inputs count as still there in every phase. Overlays are taken where the input surely dies (`pessimistic`)
    or wherever it may.
    """
    problem = downsets.problem
    mask = mask_of(block)
    later = 0
    for number in block:
        later |= downsets.descendants[number]
    later &= ~mask
    done, own = 0, 0
    rises, freeable = [], []
    for number in block:
        step = problem.steps[number]
        done |= 1 << number
        ending = [source for source in step.inputs if not downsets.readers[source] & mask & ~done]
        sure = {source for source in ending if not downsets.readers[source] & ~done}
        may = {source for source in ending if not downsets.readers[source] & (later | ~downsets.all)}
        outputs = [problem.buffers[output].bytes for output in step.outputs]
        saved = saved_bytes(problem, step, sure if pessimistic else may)
        rises.append(own + sum(outputs) + sum(step.scratch) - saved)
        freeable.append(sum(problem.buffers[source].bytes for source in may & external))
        own += sum(problem.buffers[output].bytes for output in step.outputs if downsets.readers[output])
        own -= sum(problem.buffers[source].bytes for source in sure - external)
    return rises, freeable, own
