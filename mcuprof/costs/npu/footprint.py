"""SRAM that an Ethos-U needs: the most that feature maps and weight buffers take at a time.

An operation's maps are live from the first to the last operation that touches them. Element-wise results take the
place of an operand that ends there. The peak is a lower bound of what an allocator reaches; Vela's reaches it on most
models. Source: Arm Vela 5.2 (Apache-2.0), live_range.cpp and faststorage_allocator.cpp.
"""

from __future__ import annotations

from mcuprof.costs.npu.schedule import Step
from mcuprof.costs.npu.work import Buffer, Map, Work


def peak(works: tuple[Work, ...], buffers: tuple[Buffer, ...], steps: list[Step], kept: set[int] | None = None) -> int:
    """Bytes of SRAM at the worst moment. `kept` are the buffers that lie there; None: all."""
    usage = _maps(works, buffers, kept)
    for index, step in enumerate(steps):
        for begin, end, size in _weight_ranges(index, step):
            for moment in range(max(begin, 0), min(end, len(usage) - 1) + 1):
                usage[moment] += size
    return max(usage, default=0)


def used_at(works: tuple[Work, ...], buffers: tuple[Buffer, ...], kept: set[int] | None = None) -> list[int]:
    """Bytes that feature maps take while each operation runs."""
    usage = _maps(works, buffers, kept)
    return [usage[2 * index] for index in range(len(works))]


def fitting(works: tuple[Work, ...], buffers: tuple[Buffer, ...], limit: int) -> set[int]:
    """The buffers kept in an SRAM of `limit` bytes where maps are stored elsewhere: all that stay on the NPU when they
    fit, else those with most accesses per byte first (Vela searches exhaustively).
    """
    ranges = _ranges(works, buffers)
    crossing = [2 * index for index, work in enumerate(works) if work.engine == "cpu"]
    inner = {
        index
        for index, (begin, end) in ranges.items()
        if not buffers[index].host and not buffers[index].constant and not buffers[index].persistent
        if not any(begin <= moment <= end for moment in crossing)
    }
    reads = dict.fromkeys(inner, 0)
    for work in works:
        for each in (*work.inputs, work.output):
            if each.buffer in reads:
                reads[each.buffer] += each.shape.elements
    order = sorted(
        inner, key=lambda index: (-reads[index] / max(1, buffers[index].nbytes), buffers[index].nbytes, index)
    )
    if max(_maps(works, buffers, inner), default=0) <= limit:
        return inner
    kept: set[int] = set()
    for index in order:
        if max(_maps(works, buffers, kept | {index}), default=0) <= limit:
            kept.add(index)
    return kept


def _weight_ranges(index: int, step: Step) -> list[tuple[int, int, int]]:
    """First and last moment and bytes of each weight buffer; an operation spans the moments 2·index and 2·index + 1."""
    if not step.parts or step.coded is None:
        return []
    final = (len(step.coded.slices) - 1) % len(step.parts)
    found = []
    for part, size in enumerate(step.parts):
        begin, lasts = 2 * index, 1
        if part == 0 and step.prefetched:
            begin, lasts = begin - 1, 2
        found.append((begin, begin + lasts - (part != final), size))
    return found


def _maps(works: tuple[Work, ...], buffers: tuple[Buffer, ...], kept: set[int] | None) -> list[int]:
    shared = _shared(works, buffers, kept)
    ranges = _ranges(works, buffers)
    merged: dict[int, tuple[int, int]] = {}
    for index, (begin, end) in ranges.items():
        if buffers[index].constant or (kept is not None and index not in kept):
            continue
        root = index
        while root in shared:
            root = shared[root]
        low, high = merged.get(root, (begin, end))
        merged[root] = (min(low, begin), max(high, end))
    usage = [0] * (2 * len(works) + 1)
    for index, (begin, end) in merged.items():
        for moment in range(begin, end + 1):
            usage[moment] += buffers[index].nbytes
    return usage


def _ranges(works: tuple[Work, ...], buffers: tuple[Buffer, ...]) -> dict[int, tuple[int, int]]:
    """Buffer → first and last moment. What the host gives lives from the start, what it takes to the end."""
    found: dict[int, tuple[int, int]] = {}
    written = {work.output.buffer for work in works}
    read: set[int] = set()
    for index, work in enumerate(works):
        for each in _touched(work):
            begin, _ = found.get(each.buffer, (2 * index, 0))
            found[each.buffer] = (begin, 2 * index + 1)
        read |= {each.buffer for each in work.inputs}
    last = 2 * len(works)
    for index, (begin, end) in found.items():
        if index not in written:
            begin = 0
        if index in written and index not in read:
            end = last
        if buffers[index].persistent:
            begin, end = 0, last
        found[index] = (begin, end)
    return found


def _touched(work: Work) -> tuple[Map, ...]:
    return (*work.inputs, work.output, *(link.extra for link in work.links if link.extra is not None))


def _shared(works: tuple[Work, ...], buffers: tuple[Buffer, ...], kept: set[int] | None) -> dict[int, int]:
    """Output buffer → the operand whose place it takes."""
    readers: dict[int, int] = {}
    writers: dict[int, int] = {}
    for work in works:
        for each in _touched(work)[:-1] if not work.links else (*work.inputs,):
            if each is not work.output:
                readers[each.buffer] = readers.get(each.buffer, 0) + 1
        writers[work.output.buffer] = writers.get(work.output.buffer, 0) + 1
    found: dict[int, int] = {}
    for work in works:
        if not (work.engine == "elementwise" or (work.engine == "pool" and work.kernel.taps == 1 and work.up == 1)):
            continue
        out = work.output
        for each in work.inputs:
            a, b = buffers[each.buffer], buffers[out.buffer]
            same = a.shape == b.shape and a.bits == b.bits and a.linear == b.linear
            free = (
                readers.get(each.buffer) == 1 and writers.get(out.buffer) == 1 and not a.persistent and not a.constant
            )
            placed = kept is None or (each.buffer in kept and out.buffer in kept)
            if same and free and placed and each.buffer != out.buffer:
                found[out.buffer] = each.buffer
                break
    return found
