"""Operators that only move bytes: views (RESHAPE …), permutations, padding, slicing, gathering, tiling."""

from __future__ import annotations

from math import prod

from mcuprof.graph import Graph, Op, Shape
from mcuprof.ops import moving
from mcuprof.ops.operator import (
    InputShapes,
    Operator,
    ShapeRule,
    ShapeUnknown,
    as_stored,
    constant_integers,
    normalize_axis,
    same_shape,
)
from mcuprof.ops.rows import RowRule, pad_rows

VIEWS = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS")


def reshape_shapes(graph: Graph, op: Op, inputs: InputShapes) -> tuple[Shape, ...]:
    """The shape in input 1, else in `new_shape`; one −1 is resolved from the element count."""
    tensor = graph.tensor(op, 1)
    wanted = constant_integers(graph, op, 1) if tensor is not None and tensor.is_constant else op.integers("new_shape")
    if tensor is not None and not tensor.is_constant and not wanted:
        raise ShapeUnknown("RESHAPE to a computed shape")
    elements = prod(inputs[0])
    if -1 in wanted:
        known = prod(size for size in wanted if size != -1)
        wanted = tuple((elements // known if known else 0) if size == -1 else size for size in wanted)
    if prod(wanted) != elements:
        raise ValueError(f"RESHAPE of {elements} elements to {'x'.join(map(str, wanted))}")
    return (wanted,)


def squeeze_shapes(graph: Graph, op: Op, inputs: InputShapes) -> tuple[Shape, ...]:
    """Drops the axes in `axes`, or all of length 1 when there are none."""
    x = inputs[0]
    axes = {normalize_axis(axis, len(x)) for axis in op.integers("axes")}
    if axes:
        return (tuple(size for axis, size in enumerate(x) if axis not in axes),)
    return (tuple(size for size in x if size != 1),)


def expand_dims_shapes(graph: Graph, op: Op, inputs: InputShapes) -> tuple[Shape, ...]:
    """A new axis of length 1 at the position in input 1, or at each of `axes`."""
    shape = list(inputs[0])
    axes = op.integers("axes") or constant_integers(graph, op, 1)[:1]
    rank = len(shape) + len(axes)
    for axis in sorted(normalize_axis(axis, rank) for axis in axes):
        shape.insert(axis, 1)
    return (tuple(shape),)


def transpose_shapes(graph: Graph, op: Op, inputs: InputShapes) -> tuple[Shape, ...]:
    """Axes permuted by `perm` or input 1."""
    perm = op.integers("perm") or constant_integers(graph, op, 1)
    if sorted(perm) != list(range(len(inputs[0]))):
        raise ValueError(f"TRANSPOSE by {perm} of {len(inputs[0])} dimensions")
    return (tuple(inputs[0][axis] for axis in perm),)


def pad_shapes(graph: Graph, op: Op, inputs: InputShapes) -> tuple[Shape, ...]:
    """Every axis grows by its two entries of input 1 ([rank, 2])."""
    pads = constant_integers(graph, op, 1)
    if len(pads) != 2 * len(inputs[0]):
        raise ValueError(f"{op.kind} with {len(pads)} pads for {len(inputs[0])} dimensions")
    return (tuple(size + pads[2 * axis] + pads[2 * axis + 1] for axis, size in enumerate(inputs[0])),)


def slice_shapes(graph: Graph, op: Op, inputs: InputShapes) -> tuple[Shape, ...]:
    """Input 1 gives the begins, input 2 the sizes (−1: to the end)."""
    begins, sizes = constant_integers(graph, op, 1), constant_integers(graph, op, 2)
    return (
        tuple(
            length - begin if size == -1 else size for length, begin, size in zip(inputs[0], begins, sizes, strict=True)
        ),
    )


def strided_slice_shapes(graph: Graph, op: Op, inputs: InputShapes) -> tuple[Shape, ...]:
    """TFLite masks as NumPy slices; ellipsis and new-axis masks are not resolved here."""
    if op.integer("ellipsis_mask") or op.integer("new_axis_mask"):
        raise ShapeUnknown("STRIDED_SLICE with ellipsis or new-axis mask")
    begins, ends, strides = (constant_integers(graph, op, position) for position in (1, 2, 3))
    shape: list[int] = []
    for axis, length in enumerate(inputs[0]):
        if axis >= len(begins):
            shape.append(length)
        elif op.integer("shrink_axis_mask") >> axis & 1:
            continue
        else:
            begin = None if op.integer("begin_mask") >> axis & 1 else begins[axis]
            end = None if op.integer("end_mask") >> axis & 1 else ends[axis]
            shape.append(len(range(*slice(begin, end, strides[axis]).indices(length))))
    return (tuple(shape),)


def tile_shapes(graph: Graph, op: Op, inputs: InputShapes) -> tuple[Shape, ...]:
    """Every axis times its entry of input 1."""
    return (tuple(size * times for size, times in zip(inputs[0], constant_integers(graph, op, 1), strict=True)),)


def depth_to_space_shapes(graph: Graph, op: Op, inputs: InputShapes) -> tuple[Shape, ...]:
    """NHWC: height and width times the block, channels divided by its square; NCHW as stored."""
    if op.text("layout", "NHWC") == "NCHW":
        return as_stored(graph, op, inputs)
    n, h, w, c = inputs[0]
    block = max(1, op.integer("block_size", 1))
    return ((n, h * block, w * block, c // block**2),)


def space_to_depth_shapes(graph: Graph, op: Op, inputs: InputShapes) -> tuple[Shape, ...]:
    """NHWC: height and width divided by the block, channels times its square; NCHW as stored."""
    if op.text("layout", "NHWC") == "NCHW":
        return as_stored(graph, op, inputs)
    n, h, w, c = inputs[0]
    block = max(1, op.integer("block_size", 1))
    return ((n, h // block, w // block, c * block**2),)


def gather_shapes(graph: Graph, op: Op, inputs: InputShapes) -> tuple[Shape, ...]:
    """The indices' shape takes the place of `axis`; the first `batch_dims` axes are shared."""
    axis = normalize_axis(op.integer("axis"), len(inputs[0]))
    return ((*inputs[0][:axis], *inputs[1][op.integer("batch_dims") :], *inputs[0][axis + 1 :]),)


def broadcast_to_shapes(graph: Graph, op: Op, inputs: InputShapes) -> tuple[Shape, ...]:
    """The shape in input 1."""
    return (constant_integers(graph, op, 1),)


def broadcast_args_shapes(graph: Graph, op: Op, inputs: InputShapes) -> tuple[Shape, ...]:
    """One entry per axis of the longer shape."""
    return ((max(*inputs[0], *inputs[1]),),)


def shape_of_shapes(graph: Graph, op: Op, inputs: InputShapes) -> tuple[Shape, ...]:
    """One entry per axis of the input."""
    return ((len(inputs[0]),),)


# Their shapes hang on values, or are rare enough that the file's own shape is taken.
STORED = (
    *("SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND", "GATHER_ND", "SCATTER_ND", "FILL", "RANK", "WHERE", "RANGE", "UNIQUE"),
    *("ONE_HOT", "SPARSE_TO_DENSE", "EMBEDDING_LOOKUP", "DYNAMIC_UPDATE_SLICE", "MATRIX_DIAG"),
)
_SHAPES: dict[str, ShapeRule] = {
    "RESHAPE": reshape_shapes,
    "SQUEEZE": squeeze_shapes,
    "EXPAND_DIMS": expand_dims_shapes,
    "TRANSPOSE": transpose_shapes,
    **dict.fromkeys(("PAD", "PADV2", "MIRROR_PAD"), pad_shapes),
    "SLICE": slice_shapes,
    "STRIDED_SLICE": strided_slice_shapes,
    "TILE": tile_shapes,
    "GATHER": gather_shapes,
    "DEPTH_TO_SPACE": depth_to_space_shapes,
    "SPACE_TO_DEPTH": space_to_depth_shapes,
    "BROADCAST_TO": broadcast_to_shapes,
    "BROADCAST_ARGS": broadcast_args_shapes,
    "SHAPE": shape_of_shapes,
    **dict.fromkeys(("REVERSE_V2", "REVERSE_SEQUENCE", "Identity"), same_shape),
    **dict.fromkeys(STORED, as_stored),
}

_ROWS: dict[str, RowRule] = dict.fromkeys(("PAD", "PADV2"), pad_rows)

OPERATORS = tuple(
    Operator(kind, rule, kernel=moving.KERNELS.get(kind), rows=_ROWS.get(kind)) for kind, rule in _SHAPES.items()
)
