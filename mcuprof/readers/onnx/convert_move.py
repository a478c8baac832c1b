"""Converters for operators that move, select or join elements, with their parameters as TFLite wants them."""

from __future__ import annotations

from mcuprof.errors import ModelError
from mcuprof.graph import Attribute
from mcuprof.readers.onnx.call import Call, Converter, Table, axis_of, first_input, int32, listed, need, renamed
from mcuprof.readers.onnx.net import Net, Node


def _reshape(node: Node, net: Net) -> Call:
    """The result's shape as attribute; a computed shape stays an input. Raises ModelError when elements get lost."""
    x, y = net.values[need(node, 0)], net.values[node.outputs[0]]
    if x.elements != y.elements:
        raise ModelError(f"{node} makes {y.elements:,} elements ({y.name!r}) of {x.elements:,}")
    shape = node.input(1) if node.op == "Reshape" else ""
    inputs = [need(node, 0), shape] if shape and not net.values[shape].is_constant else [need(node, 0)]
    return Call("RESHAPE", inputs, {"new_shape": y.shape})


def _squeeze(node: Node, net: Net) -> Call | None:
    axes = listed(node, net, 1, "axes")
    rank = len(net.values[need(node, 0)].shape)
    return None if axes is None else Call("SQUEEZE", node.inputs[:1], {"axes": tuple(axis % rank for axis in axes)})


def _unsqueeze(node: Node, net: Net) -> Call:
    """EXPAND_DIMS; RESHAPE where the axes are computed, or malformed so that ONNX itself derives another shape."""
    axes = listed(node, net, 1, "axes")
    shape, rank = net.values[node.outputs[0]].shape, len(net.values[need(node, 0)].shape)
    if not axes or rank + len(axes) != len(shape):
        return Call("RESHAPE", node.inputs[:1], {"new_shape": shape})
    return Call("EXPAND_DIMS", node.inputs[:1], {"axes": tuple(sorted(axis % len(shape) for axis in axes))})


def _transpose(node: Node, net: Net) -> Call:
    rank = len(net.values[need(node, 0)].shape)
    return Call("TRANSPOSE", node.inputs[:1], {"perm": node.integers("perm") or tuple(reversed(range(rank)))})


def _concat(node: Node, net: Net) -> Call:
    return Call("CONCATENATION", node.inputs, {"axis": axis_of(node, net, 0)})


def _gather(node: Node, net: Net) -> Call:
    return Call("GATHER", [need(node, 0), need(node, 1)], {"axis": axis_of(node, net, 0)})


def _split(node: Node, net: Net) -> Call:
    """SPLIT (axis, x) for equal parts, SPLIT_V (x, lengths, axis) for others."""
    axis = axis_of(node, net, 0)
    lengths = [net.values[name].shape[axis] for name in node.outputs if name]
    axis_name = int32(net, node, "axis", axis)
    if len(set(lengths)) == 1:
        return Call("SPLIT", [axis_name, node.inputs[0]], {"num_splits": len(lengths)})
    return Call("SPLIT_V", [node.inputs[0], int32(net, node, "lengths", lengths), axis_name])


def _slice(node: Node, net: Net) -> Call | None:
    """STRIDED_SLICE (x, begin, end, strides) over all axes; an end in front of element 0 needs the mask."""
    shape = net.values[need(node, 0)].shape
    starts, ends = listed(node, net, 1, "starts"), listed(node, net, 2, "ends")
    axes, steps = listed(node, net, 3, "axes"), listed(node, net, 4, "steps")
    if starts is None or ends is None or axes is None or steps is None:
        return None
    axes, steps = axes or tuple(range(len(starts))), steps or (1,) * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps) or 0 in steps:
        raise ModelError(f"{node} has {len(starts)} starts, {len(ends)} ends, {len(axes)} axes, {len(steps)} steps")
    begin, end, stride, mask = [0] * len(shape), list(shape), [1] * len(shape), 0
    for axis, first, last, step in zip(axes, starts, ends, steps, strict=True):
        axis %= len(shape)
        taken = range(*slice(first, last if step > 0 or last >= -shape[axis] else None, step).indices(shape[axis]))
        begin[axis], end[axis], stride[axis] = taken.start, max(taken.stop, 0), max(min(step, 2**31 - 1), -(2**31))
        mask |= (taken.stop < 0) << axis
    names = [int32(net, node, what, values) for what, values in (("begin", begin), ("end", end), ("strides", stride))]
    return Call("STRIDED_SLICE", [node.inputs[0], *names], {"end_mask": mask} if mask else {})


def _pad(node: Node, net: Net) -> Call | None:
    """PAD, PADV2 (other than zero) or MIRROR_PAD with [rank, 2] pads; mode `edge` has no counterpart."""
    rank = len(net.values[need(node, 0)].shape)
    mode, pads, axes = node.text("mode", "constant"), listed(node, net, 1, "pads"), listed(node, net, 3, "axes")
    if pads is None or axes is None or mode not in ("constant", "reflect") or min(pads, default=0) < 0:
        return None
    axes = axes or tuple(range(rank))
    if len(pads) != 2 * len(axes):
        raise ModelError(f"{node} has {len(pads)} pads for {len(axes)} axes")
    table = [[0, 0] for _ in range(rank)]
    for axis, before, after in zip(axes, pads[: len(axes)], pads[len(axes) :], strict=True):
        table[axis % rank] = [before, after]
    inputs = [node.inputs[0], int32(net, node, "pads", table)]
    if mode == "reflect":
        return Call("MIRROR_PAD", inputs, {"mode": "REFLECT"})
    value = net.constant(node.input(2)) if node.input(2) else None
    if node.input(2) and value is None:
        return None
    quantization = net.values[node.inputs[0]].quantization
    plain = quantization.zero_point[0] if quantization else 0
    if value is not None and value.size == 1 and value.reshape(()) != plain:
        return Call("PADV2", [*inputs, node.input(2)])
    return Call("PAD", inputs) if node.number("value") == 0.0 else None


def _tile(node: Node, net: Net) -> Call | None:
    times = net.integers(need(node, 1))
    return None if times is None else Call("TILE", [need(node, 0), int32(net, node, "multiples", times)])


def _expand(node: Node, net: Net) -> Call:
    shape = net.values[node.outputs[0]].shape
    return Call("BROADCAST_TO", [need(node, 0), int32(net, node, "shape", shape)])


def _resize(node: Node, net: Net) -> Call | None:
    """Nearest and bilinear over height and width; `half_pixel_centers` and `align_corners` as in TFLite."""
    x, y = net.values[need(node, 0)].shape, net.values[node.outputs[0]].shape
    kind = {"nearest": "RESIZE_NEAREST_NEIGHBOR", "linear": "RESIZE_BILINEAR"}.get(node.text("mode", "nearest"))
    oldest = "asymmetric" if node.op == "Upsample" or net.opsets.get("", 0) < 11 else "half_pixel"
    grid = node.text("coordinate_transformation_mode", oldest)
    if kind is None or len(x) != 4 or x[:2] != y[:2] or grid == "tf_crop_and_resize":
        return None
    attributes: dict[str, Attribute] = {
        "layout": "NCHW",
        "align_corners": grid == "align_corners",
        "half_pixel_centers": grid in ("half_pixel", "pytorch_half_pixel"),
    }
    return Call(kind, [node.inputs[0], int32(net, node, "size", y[2:])], attributes)


def _depth_to_space(node: Node, net: Net) -> Call | None:
    if node.text("mode", "DCR") != "DCR":
        return None
    return Call("DEPTH_TO_SPACE", [need(node, 0)], {"block_size": node.integer("blocksize"), "layout": "NCHW"})


def _space_to_depth(node: Node, net: Net) -> Call:
    return Call("SPACE_TO_DEPTH", [need(node, 0)], {"block_size": node.integer("blocksize"), "layout": "NCHW"})


def _arg(kind: str) -> Converter:
    return lambda node, net: Call(
        kind, [need(node, 0)], {"axis": axis_of(node, net, 0), "keep_dims": bool(node.integer("keepdims", 1))}
    )


MOVE: Table = {
    "Reshape": _reshape,
    "Flatten": _reshape,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Identity": first_input("Identity"),
    "Dropout": first_input("Identity"),
    "Transpose": _transpose,
    "Concat": _concat,
    "Gather": _gather,
    "GatherND": renamed("GATHER_ND"),
    "Split": _split,
    "Slice": _slice,
    "Pad": _pad,
    "Tile": _tile,
    "Expand": _expand,
    "Resize": _resize,
    "Upsample": _resize,
    "DepthToSpace": _depth_to_space,
    "SpaceToDepth": _space_to_depth,
    "ArgMax": _arg("ARG_MAX"),
    "ArgMin": _arg("ARG_MIN"),
    "If": renamed("IF"),
}
