"""How much arithmetic a network does for every byte it moves, in which bit widths, and the ceilings above it.

Bit operations (BOPs) of a layer are MACs × bits of the weights × bits of the activations (van Baalen et al., "Bayesian
Bits: Unifying Quantization and Pruning", NeurIPS 2020). The roofline (Williams, Waterman, Patterson, "Roofline: an
insightful visual performance model", CACM 52(4), 2009) holds the MACs per cycle of a layer against the highest rate of
the core, of its kernels, and of a memory whose bandwidth is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mcuprof.cost_document import Arithmetic, Bound, Ceiling, OperatorWork, Precision
from mcuprof.costs.cycles import Anchor
from mcuprof.costs.estimate import Work
from mcuprof.costs.features import dense_features, window_features
from mcuprof.document import Latency
from mcuprof.graph import ABSENT, DType, Graph, Op, Tensor
from mcuprof.hardware.device import Core, Device
from mcuprof.ops import macs
from mcuprof.ops.geometry import Window
from mcuprof.ops.scheme import operands

NO_BANDWIDTH = "no bandwidth data"
_BASIS = (
    "exact: BOPs = MACs x weight bits x activation bits (Bayesian Bits, NeurIPS 2020); "
    "bytes moved = inputs, weights and outputs, each once, which is the least; cycles as under latency"
)
# Layers large enough that nothing but the inner loop counts: what kernels reach at most.
_LARGE = 256
_PEAK_KERNELS = ("conv_{}:1x1", "conv_{}:kxk", "conv_{}", "fc_{}")
# Activations and weights → how laws name them, and the figure of the core.
_TYPES = {
    ("int8", "int8"): ("s8", "mac_i8_per_cycle"),
    ("int8", "int4"): ("s4", "mac_i8_per_cycle"),
    ("int16", "int8"): ("s16", "mac_i16_per_cycle"),
    ("float32", "float32"): ("f32", "mac_f32_per_cycle"),
}

Product = tuple[Tensor, Tensor, int]


def arithmetic(graph: Graph, work: Work | None, latency: Latency | None, device: Device | None) -> Arithmetic:
    """BOPs, precisions and roofline positions of the main graph; `work` and `latency` are those of `device`."""
    products = [tuple(_products(graph, op)) for op in graph.ops]
    precisions = _precisions(each for row in products for each in row)
    ceilings = tuple(_ceilings(precisions, work, device))
    cycles = {cost.index: cost.cycles for cost in latency.operators} if latency is not None else {}
    bandwidth = device.bytes_per_cycle if device is not None else None
    rows = tuple(
        _row(graph, index, op, products[index], cycles.get(index), ceilings, bandwidth)
        for index, op in enumerate(graph.ops)
    )
    return Arithmetic(
        bops=sum(row.bops for row in rows),
        bytes_moved=sum(row.bytes_moved for row in rows),
        precisions=precisions,
        ceilings=ceilings,
        bytes_per_cycle=bandwidth,
        bandwidth_basis=_bandwidth_basis(device),
        basis=_BASIS,
        operators=rows,
    )


def _precisions(products: Iterable[Product]) -> tuple[Precision, ...]:
    """MACs and BOPs by pair of types, the most MACs first."""
    totals: dict[tuple[str, str], list[int]] = {}
    for x, weights, count in products:
        total = totals.setdefault((x.dtype.value, weights.dtype.value), [0, 0])
        total[0] += count
        total[1] += _bops(x, weights, count)
    found = (Precision(*types, count, bops) for types, (count, bops) in totals.items())
    return tuple(sorted(found, key=lambda one: (-one.macs, one.activations, one.weights)))


def _bops(x: Tensor, weights: Tensor, count: int) -> int:
    return count * x.dtype.bits * weights.dtype.bits


def _products(graph: Graph, op: Op) -> Iterator[Product]:
    """What an operator multiplies: activations, weights (or the other activations) and how often."""
    count = macs(graph, op)
    if not count:
        return
    if op.kind == "SVDF":
        x, features, time, state = (graph.input(op, position) for position in (0, 1, 2, 4))
        over_features = x.shape[0] * features.elements
        yield x, features, over_features
        yield state, time, count - over_features
    elif op.kind == "BATCH_MATMUL":
        yield graph.input(op, 0), graph.input(op, 1), count
    elif (pair := operands(graph, op)) is not None:
        yield *pair, count


def _row(
    graph: Graph,
    index: int,
    op: Op,
    products: tuple[Product, ...],
    cycles: int | None,
    ceilings: tuple[Ceiling, ...],
    bandwidth: float | None,
) -> OperatorWork:
    moved = sum(_nbytes(graph, each) for each in (*dict.fromkeys(op.inputs), *op.outputs))
    count = macs(graph, op)
    x, weights, _ = max(products, key=lambda one: one[2], default=(None, None, 0))
    intensity = count / moved if count and moved else None
    rate = count / cycles if count and cycles else None
    types = (x.dtype.value, weights.dtype.value) if x and weights else None
    highest = [each.macs_per_cycle for each in ceilings if (each.activations, each.weights) == types]
    bound: Bound | None = None
    if bandwidth is not None and intensity is not None and highest:
        bound = "memory" if intensity * bandwidth < min(highest) else "compute"
    return OperatorWork(
        index=index,
        operator=op.kind,
        macs=count,
        bops=sum(_bops(*product) for product in products),
        activation_bits=x.dtype.bits if x else None,
        weight_bits=weights.dtype.bits if weights else None,
        bytes_moved=moved,
        macs_per_byte=intensity,
        macs_per_cycle=rate,
        of_ceiling=rate / min(highest) if rate is not None and highest else None,
        bound=bound,
    )


def _bandwidth_basis(device: Device | None) -> str:
    if device is None:
        return f"{NO_BANDWIDTH}: no device was named"
    if device.bytes_per_cycle is None:
        return f"{NO_BANDWIDTH}: no source gives the bytes per cycle of this device's memories"
    return device.sources.get("bytes_per_cycle", "no source")


def _nbytes(graph: Graph, index: int) -> int:
    return 0 if index == ABSENT or graph.tensors[index].dtype is DType.RESOURCE else graph.tensors[index].nbytes


def _ceilings(precisions: tuple[Precision, ...], work: Work | None, device: Device | None) -> Iterator[Ceiling]:
    """The core's and the kernels' highest rate for each pair of types that does at least a tenth of the MACs."""
    total = sum(one.macs for one in precisions)
    for one in precisions:
        named = _TYPES.get((one.activations, one.weights))
        if device is None or named is None or one.macs * 10 < total:
            continue
        types = one.activations, one.weights
        rate = getattr(device.core, named[1])
        if rate is not None:
            yield Ceiling(device.core.name, *types, rate, _sourced(device.core, named[1]))
        found = _fastest(named[0], work, device)
        if found is not None:
            kernel, per_cycle = found
            basis = f"modelled: {kernel} on a layer so large that only its inner loop counts, without padding"
            yield Ceiling(f"{work.kernels if work else ''} kernels", *types, per_cycle, basis)


def _sourced(core: Core, key: str) -> str:
    doubt = f"; {core.doubts[key]}" if key in core.doubts else ""
    return core.sources.get(key, "no source") + doubt


def _fastest(types: str, work: Work | None, device: Device) -> tuple[str, float] | None:
    """The kernel class with the most MACs per cycle on large layers, and that rate; None where cycles are not known."""
    if work is None:
        return None
    anchor = work.anchor(device, 0)
    if not isinstance(anchor, Anchor):
        return None
    rates: list[tuple[float, str]] = []
    for kernel in (each.format(types) for each in _PEAK_KERNELS):
        law = work.book.classes.get(kernel)
        if law is not None and not law.domain:
            sizes, weights = _large(kernel)
            cycles = anchor.cycles(anchor.weighted(kernel, law.instructions(sizes), weights), device.id)
            rates.append((sizes["macs"] / cycles, kernel))
    return (max(rates)[1], max(rates)[0]) if rates else None


def _large(kernel: str) -> tuple[dict[str, float], int]:
    """Run counts of a large layer of this class, and its bytes of weights."""
    n = _LARGE
    if kernel.startswith("fc"):
        return dict(dense_features(1, 4 * n, n)), 4 * n * n
    side = 1 if kernel.endswith("1x1") else 3
    pad = side // 2
    window = Window(1, 64, 64, n, 64, 64, n, side, side, 1, 1, 1, 1, pad, pad, pad, pad, 1)
    return dict(window_features(window, depthwise=False)), side * side * n * n
