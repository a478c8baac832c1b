"""SOFTMAX on an Ethos-U: some thirty small operations where a host has one kernel."""

from __future__ import annotations

from mcuprof.costs.npu.sheet import Sheet, Unmodelled
from mcuprof.costs.npu.work import Engine, Kernel, Map, Shape
from mcuprof.graph import DType, Op


def softmax(sheet: Sheet, index: int, op: Op) -> None:
    """Exponentials by table, their sum, and its reciprocal by three Newton-Raphson steps (Vela, softmax.cpp)."""
    x = sheet.graph.input(op, 0)
    if x.dtype not in {DType.INT8, DType.UINT8}:
        raise Unmodelled("SOFTMAX of 16 bits is not modelled")
    source, output = sheet.map(op.inputs[0]), sheet.output(op)
    h, w, c = source.shape
    whole, one = source.shape, Shape(h, w, 1)

    def unary(name: str, x: Map, shape: Shape = one, engine: Engine = "elementwise") -> Map:
        made = sheet.temporary(shape, 32)
        sheet.emit(index, engine, name, (x,), made)
        return made

    def binary(name: str, left: Map, right: Map, shape: Shape = one, out: Map | None = None) -> Map:
        made = out or sheet.temporary(shape, 32)
        sheet.emit(index, "elementwise", name, (left, right), made)
        return made

    def number() -> Map:
        return sheet.constant(Shape(1, 1, 1), 32)

    rows = Map(source.buffer, Shape(h * w, c, 1), source.bits, Shape(h * w, c, 1))
    largest = sheet.temporary(Shape(h * w, 1, 1), source.bits)
    sheet.emit(index, "pool", "MAX_POOL", (rows,), largest, Kernel(1, c))
    peak = Map(largest.buffer, one, source.bits, one)
    powers = sheet.temporary(whole, 32)
    sheet.emit(index, "elementwise", "SUB", (source, peak), powers, table=True)
    total = unary("REDUCE_SUM", binary("ASR", powers, number(), whole), engine="reduce")
    zeros = unary("CLZ", total)
    reach = binary("SUB", number(), zeros)
    shift = binary("SUB", zeros, number())
    scaled = binary("SHL", total, shift)
    guess = binary("ADD", binary("MUL", scaled, number()), number())
    for _ in range(3):
        wrong = binary("SUB", number(), binary("MUL", guess, scaled))
        guess = binary("ADD", guess, binary("MUL", binary("MUL", guess, wrong), number()))
    product = binary("MUL", powers, guess, whole)
    exponent = binary("ADD", sheet.constant(whole, 32), Map(reach.buffer, one, 32, one), whole)
    binary("ASR", product, exponent, whole, output)
