"""An ONNX file whose nodes stand in the order of a plan; nothing else of it changes."""

from __future__ import annotations

from collections.abc import Sequence

from mcuprof.errors import ModelError
from mcuprof.graph import Graph


def reordered(data: bytes, graph: Graph, order: Sequence[int]) -> bytes:
    """The model `data` with its nodes in the order in which `order` runs the operators of `graph`.

    An operator of the graph may stand for several nodes (quantize, compute, dequantize): they run together, just before
    they are needed. Nodes that no operator needs keep their place at the end. Raises ModelError for a file that cannot
    be parsed or whose nodes depend on each other in a circle.
    """
    import onnx

    try:
        model = onnx.load_model_from_string(data)
    except Exception as error:  # protobuf raises its own kinds
        raise ModelError(f"is not a readable ONNX file ({type(error).__name__})") from None
    nodes = list(model.graph.node)
    producer = {name: number for number, node in enumerate(nodes) for name in node.output if name}
    needs = [_needs(node, producer) for node in nodes]
    done: dict[int, None] = {}
    wanted = [graph.tensors[tensor].name for index in order for tensor in graph.ops[index].outputs if tensor >= 0]
    for number in (*(producer[name] for name in wanted if name in producer), *range(len(nodes))):
        _emit(number, needs, done)
    del model.graph.node[:]
    model.graph.node.extend(nodes[number] for number in done)
    return bytes(model.SerializeToString(deterministic=True))


def _needs(node: object, producer: dict[str, int]) -> list[int]:
    """The nodes that must run before this one, in file order; its subgraphs may read any tensor of the graph."""
    names: list[str] = []
    pending = [node]
    while pending:
        current = pending.pop()
        names.extend(current.input)  # type: ignore[attr-defined]
        for attribute in current.attribute:  # type: ignore[attr-defined]
            for body in (attribute.g, *attribute.graphs):
                pending.extend(body.node)
    return sorted({producer[name] for name in names if name in producer})


def _emit(number: int, needs: list[list[int]], done: dict[int, None]) -> None:
    """Append a node and, before it, all it needs that is not there yet."""
    path, open_ = [number], {number}
    while path:
        missing = next((need for need in needs[path[-1]] if need not in done), None)
        if missing is None:
            last = path.pop()
            open_.discard(last)
            done[last] = None
        elif missing in open_:
            raise ModelError("has nodes that need each other in a circle")
        else:
            path.append(missing)
            open_.add(missing)
