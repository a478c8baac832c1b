"""PAD + VALID convolution → SAME convolution, as Keras' ZeroPadding2D before a stride of 2 leaves behind.

For CONV_2D and DEPTHWISE_CONV_2D (not for pools: SAME averages leave padded cells out, SAME maxima ignore them):
1. The padding is constant, in height and width only, and its value reads as 0: PAD fills with its output's zero point,
   PADV2 with a constant that must equal it; floats are filled with 0.
2. PAD's input and output have the same type and quantization, so the convolution's zero point does not change.
3. SAME, on the unpadded input, starts its first window at the same cell (pads before are equal) and gives the output
   its present size. Cells beyond the last window may have been padded; nobody reads them.
Then both convolutions add up the same products: cells outside count 0. Every convolution that reads the PAD and fits is
rewritten on its own; a PAD that nobody reads any more goes with `unused`.
"""

from __future__ import annotations

from dataclasses import replace

from mcuprof.graph import DType, Graph, Op
from mcuprof.ops.geometry import window
from mcuprof.rewrites.edit import Draft


def fold_padding(graph: Graph) -> Graph:
    """The graph with every foldable PAD bypassed; the same object when there is none. TFLite graphs only."""
    draft = Draft(graph)
    for index, op in enumerate(graph.ops):
        if op.kind in ("CONV_2D", "DEPTHWISE_CONV_2D") and op.text("padding") == "VALID":
            folded = _folded(graph, op)
            if folded is not None:
                draft.op(index, folded)
    return draft.close()


def _folded(graph: Graph, op: Op) -> Op | None:
    """The convolution reading PAD's input, when the rules hold."""
    producer = graph.producer.get(op.inputs[0])
    pad = graph.ops[producer] if producer is not None else None
    if pad is None or pad.kind not in ("PAD", "PADV2") or op.text("layout", "NHWC") != "NHWC":
        return None
    x, padded, amounts = graph.input(pad), graph.output(pad), graph.input(pad, 1)
    alike = x.dtype is padded.dtype and x.quantization == padded.quantization
    if not (alike and amounts.is_constant and len(x.shape) == 4 and _fills_with_zero(graph, pad)):
        return None
    pads = amounts.array().reshape(-1, 2).tolist()
    if len(pads) != 4 or pads[0] != [0, 0] or pads[3] != [0, 0]:
        return None
    same = replace(op, inputs=(pad.inputs[0], *op.inputs[1:]), attributes={**op.attributes, "padding": "SAME"})
    w = window(graph, same)
    starts = (w.pad_top, w.pad_left) == (pads[1][0], pads[2][0])
    sizes = (-(-w.in_h // w.stride_h), -(-w.in_w // w.stride_w)) == (w.out_h, w.out_w)
    return same if starts and sizes else None


def _fills_with_zero(graph: Graph, pad: Op) -> bool:
    out = graph.output(pad)
    if not (out.dtype.is_float or out.dtype in (DType.INT8, DType.UINT8, DType.INT16)):
        return False
    zeros = out.quantization.zero_point if out.quantization else ()
    zero = zeros[0] if zeros and not out.dtype.is_float else 0
    filler = graph.tensor(pad, 2)
    return filler is None or (filler.is_constant and filler.array().reshape(-1).tolist() == [zero])
