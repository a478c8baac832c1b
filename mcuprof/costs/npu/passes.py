"""What becomes of a list of NPU operations: their order, deeper shapes, chains, and the formats of their buffers."""

from __future__ import annotations

from dataclasses import replace

from mcuprof.costs.npu.work import Buffer, Link, Map, Shape, Work
from mcuprof.graph import Graph


def order(graph: Graph) -> list[int]:
    """The compiler's order: depth first from the outputs, the last operand's branch first (Vela, graph.hpp)."""
    state = any(tensor.variable for tensor in graph.tensors)
    stack = [(graph.producer[index], False) for index in graph.outputs if index in graph.producer]
    seen: set[int] = set()
    found: list[int] = []
    while stack:
        index, done = stack.pop()
        if done:
            found.append(index)
        elif index not in seen:
            seen.add(index)
            stack.append((index, True))
            writers = (graph.producer[each] for each in graph.ops[index].inputs if each in graph.producer)
            stack += [(writer, False) for writer in writers if writer not in seen]
    return list(range(len(graph.ops))) if state else found


def _deeper(shape: Shape) -> Shape:
    """A flat map seen as one of 16 channels or a few more, as element-wise operations are (Vela, shape_util.hpp)."""
    if shape.c >= 8 or shape.elements <= 16:
        return shape
    rest, factors, divisor = shape.elements, list[int](), 2
    while rest > 1:
        while rest % divisor == 0:
            factors.append(divisor)
            rest //= divisor
        divisor += 1
    depth = h = w = 1
    for factor in factors:
        if depth < 16:
            depth *= factor
        elif w < h:
            w *= factor
        else:
            h *= factor
    return Shape(max(h, w), min(h, w), depth)


def flattened(works: list[Work]) -> list[Work]:
    """Element-wise operations and copies without repetition do not care for shapes: they get deeper ones."""
    found = []
    for work in works:
        flat = work.engine == "elementwise" or (work.engine == "pool" and work.kernel.taps == 1 and work.up == 1)
        maps = (*work.inputs, work.output)
        alike = all(each.scalar or each.shape == work.output.shape for each in work.inputs)
        whole = all(each.of == each.shape for each in maps)
        if not (flat and alike and whole) or _deeper(work.output.shape) == work.output.shape:
            found.append(work)
            continue
        deeper = [
            each if each.scalar else Map(each.buffer, _deeper(each.shape), each.bits, _deeper(each.shape))
            for each in maps
        ]
        found.append(replace(work, inputs=tuple(deeper[:-1]), output=deeper[-1]))
    return found


def chained(works: list[Work], buffers: list[Buffer]) -> list[Work]:
    """U85: an element-wise operation is chained to the one before it when it alone reads what that one writes."""
    readers: dict[int, int] = {}
    for work in works:
        for each in work.inputs:
            readers[each.buffer] = readers.get(each.buffer, 0) + 1
    found: list[Work] = []
    for work in works:
        before = found[-1] if found else None
        link = _link(before, work, readers, buffers) if before is not None else None
        if before is None or link is None:
            found.append(work)
            continue
        own = before.bits_before_links if before.links else before.output.bits
        found[-1] = replace(before, output=work.output, own_bits=own, links=(*before.links, link))
    return found


def _link(before: Work, work: Work, readers: dict[int, int], buffers: list[Buffer]) -> Link | None:
    if work.engine != "elementwise" or before.engine in {"cpu", "resize", "dma", "reduce"} or work.table:
        return None
    if before.engine == "pool" and before.name != "COPY" and before.kernel.taps > 1:
        return None
    passed = before.output
    if readers.get(passed.buffer) != 1 or buffers[passed.buffer].host or passed.of != passed.shape or before.table:
        return None
    mine = [position for position, each in enumerate(work.inputs) if each.buffer == passed.buffer]
    if len(mine) != 1 or work.inputs[mine[0]].shape != work.output.shape or passed.shape != work.output.shape:
        return None
    rest = [each for position, each in enumerate(work.inputs) if position != mine[0]]
    if len(before.links) >= 3 or sum(link.extra is not None for link in before.links) + len(rest) > 2:
        return None
    if rest and rest[0].shape != work.output.shape and not rest[0].scalar:
        return None
    return Link(work.name, rest[0] if rest else None, work.inputs[mine[0]].bits, work.output.bits)


def formats(works: tuple[Work, ...], buffers: list[Buffer]) -> None:
    """Bricks of 16 channels need readers and writers that agree on width and depth; sums of 32 bits read rows."""
    seen: dict[int, set[tuple[int, int]]] = {}
    for work in works:
        for each in (*work.inputs, work.output, *(link.extra for link in work.links if link.extra is not None)):
            seen.setdefault(each.buffer, set()).add((each.of.w, each.of.c))
        if work.engine == "reduce" and work.inputs[0].bits == 32:
            buffers[work.inputs[0].buffer].linear = True
    for index, shapes in seen.items():
        if len(shapes) > 1:
            buffers[index].linear = True
