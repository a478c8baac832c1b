"""What AllocateTensors needs at once while operators prepare themselves: more than the arena's use, in small models.

A kernel's Prepare looks at its tensors through temporary structures, which lie above the list of scratch requests in
the space of the head and go when it returns (MicroAllocator::AllocateTempTfLiteTensor). A network with wide per-channel
weights and small tensors runs out of arena there.
"""

from __future__ import annotations

from collections.abc import Sequence

from mcuprof.graph import ABSENT, DType, Graph, Op, Tensor
from mcuprof.ops.geometry import bias_position, data_position
from mcuprof.runtimes.tflm import abi
from mcuprof.runtimes.tflm.abi import Abi
from mcuprof.runtimes.tflm.kernels.base import KernelMemory
from mcuprof.runtimes.tflm.lifetimes import ALIGNMENT
from mcuprof.runtimes.tflm.persistent import Tail

MAX_SCRATCH_REQUESTS_PER_OP = 12  # kMaxScratchBuffersPerOp, micro_allocator.cc


def preparing_bytes(graph: Graph, memory: Sequence[Sequence[KernelMemory]], tail: Tail, target: Abi) -> int:
    """The most that any operator's Prepare needs, tail included.

    Exact for convolutions and the kernels of tests/runtimes/test_tflm_random_graphs.py; ADD_N may need less. A lower
    bound for kernels that look at a tensor more than once.
    """
    most, requests = 0, 0
    prepared = iter(tail.prepared)
    for part, group in zip((graph, *graph.subgraphs), memory, strict=True):
        for op, kernel in zip(part.ops, group, strict=True):
            held = target.pick(abi.SCRATCH_REQUEST) * (requests + MAX_SCRATCH_REQUESTS_PER_OP)
            held = _up(held, ALIGNMENT)
            for tensor in _looked_at(part, op):
                held = _with_temporary(held, tensor, target)
            most = max(most, held + next(prepared))
            requests += len(kernel.scratch)
    return most


def _looked_at(graph: Graph, op: Op) -> list[Tensor]:
    """The tensors in the order in which Prepare asks for them.

    Convolutions take output, input and weights, then (CalculateOpData…, a transposed one of integers only) input,
    weights, bias and output once more. For reductions PrepareSimple takes the inputs, of int8 the output too, and their
    own part takes all of them once more. CONCATENATION begins with the first input and the output.
    """
    inputs, outputs = list(op.inputs), list(op.outputs)
    if op.kind in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        order = [*outputs, *inputs[:2], *inputs, *outputs]
    elif op.kind == "TRANSPOSE_CONV" and graph.tensor(op, data_position(op)) is not None:
        x, weights, bias = inputs[data_position(op)], inputs[1], inputs[bias_position(op) :]
        again = [] if graph.input(op, data_position(op)).dtype.is_float else [x, weights, *bias, *outputs]
        order = [*outputs, x, weights, *again]
    elif op.kind in ("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_ALL"):
        simple = [*inputs, *outputs] if graph.input(op).dtype is DType.INT8 else inputs
        order = [*simple, *inputs, *outputs]
    elif op.kind == "CONCATENATION":
        order = [inputs[0], *outputs, *inputs]
    else:
        order = [*inputs, *outputs]
    return [graph.tensors[index] for index in order if index != ABSENT]


def _with_temporary(held: int, tensor: Tensor, target: Abi) -> int:
    """Bytes in use after one more TfLiteTensor with its quantization."""
    word, quantization = target.word, tensor.quantization
    held = -(-held // word) * word + target.pick(abi.TENSOR)
    if quantization is not None and quantization.zero_point:
        held = -(-held // word) * word + target.pick(abi.AFFINE_QUANTIZATION)
        held += 4 + 4 * len(quantization.scale)
    return held


def _up(nbytes: int, alignment: int) -> int:
    return -(-nbytes // alignment) * alignment
