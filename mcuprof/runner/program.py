"""A graph made ready to run: every operator's kernel prepared once, constants unpacked, state kept apart.

Control flow and resource variables are executed here, because they need the other subgraphs and the state; everything
else is a kernel of `ops/`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from mcuprof.errors import ModelError
from mcuprof.graph import ABSENT, DType, Graph, Op
from mcuprof.ops import OPERATORS, keeps_state
from mcuprof.ops.computed import at_run_time
from mcuprof.ops.floating import is_float_island, through_floats
from mcuprof.ops.kernel import Array, ByRows, Kernel, NoKernel, Prepare, is_onnx, storage, zero_of

MAX_ROUNDS = 10_000


@dataclass(slots=True)
class State:
    """What survives from one inference to the next: variable tensors, resource variables, which CALL_ONCE have run.

    `kept` is what operators keep for themselves, by subgraph and operator index.
    """

    variables: dict[int, Array] = field(default_factory=dict)
    resources: dict[str, Array] = field(default_factory=dict)
    called: set[int] = field(default_factory=set)
    kept: dict[tuple[int, int], tuple[Array, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Program:
    """A prepared graph. `missing` names, by operator index, why there is no kernel; `kernels` holds the others.

    What enters a subgraph in which a kernel is missing has none either. `number` is the subgraph's.
    """

    graph: Graph
    kernels: Mapping[int, Kernel]
    missing: Mapping[int, str]
    constants: Mapping[int, Array]
    subprograms: tuple[Program, ...] = ()
    number: int = 0

    def require_all(self) -> None:
        """Raises ModelError naming the first operator that has no kernel, here or in a subgraph."""
        for program in (self, *self.subprograms):
            for index, reason in sorted(program.missing.items()):
                raise ModelError(f"operator {index} ({program.graph.ops[index].kind}) has no kernel: {reason}")

    def initial_state(self) -> State:
        """Variable tensors as a runtime resets them: int8 at their zero point, everything else at 0.

        Raises ModelError for a zero point that the type cannot hold, and for a type that nothing here computes with.
        """
        state = State()
        for index, tensor in enumerate(self.graph.tensors):
            if tensor.variable and tensor.dtype is not DType.RESOURCE:
                start = zero_of(tensor) if tensor.dtype is DType.INT8 else 0
                if not -128 <= start <= 127:
                    raise ModelError(f"tensor {tensor.name!r} has the zero point {start}, outside {tensor.dtype.value}")
                try:
                    state.variables[index] = np.full(tensor.shape, start, storage(tensor.dtype))
                except NoKernel as error:
                    raise ModelError(f"tensor {tensor.name!r} cannot be a variable: {error}") from None
        return state


def prepare(graph: Graph) -> Program:
    """Prepares all kernels. Operators without one are listed in `missing`; constants nobody reads are left out."""
    programs = [_prepare_one(part, number) for number, part in enumerate((graph, *graph.subgraphs))]
    while any(lacking := [_without_bodies(program, programs) for program in programs]):  # a level further out each time
        programs = [
            replace(
                program,
                kernels={index: kernel for index, kernel in program.kernels.items() if index not in found},
                missing={**program.missing, **found},
            )
            for program, found in zip(programs, lacking, strict=True)
        ]
    return replace(programs[0], subprograms=tuple(programs[1:]))


def _without_bodies(program: Program, programs: Sequence[Program]) -> dict[int, str]:
    """Control operators that enter a subgraph in which a kernel is missing, and why."""
    found = {}
    for index in program.kernels:
        op = program.graph.ops[index]
        for number in (op.integer(name, -1) for name in _BODIES.get(op.kind, ())):
            body = programs[number] if 1 <= number < len(programs) else None
            if body is not None and body.missing:
                inner, reason = min(body.missing.items())
                nested = reason.startswith(_INSIDE)
                found[index] = reason if nested else f"{_INSIDE} {inner} ({body.graph.ops[inner].kind}): {reason}"
    return found


def _prepare_one(graph: Graph, number: int) -> Program:
    kernels: dict[int, Kernel] = {}
    missing: dict[int, str] = {}
    for index, op in enumerate(graph.ops):
        try:
            kernels[index] = prepare_kernel(graph, op)
        except NoKernel as error:
            missing[index] = str(error)
    used = {index for op in graph.ops for index in op.inputs if index != ABSENT} | set(graph.outputs)
    constants = {index: _constant(graph, index) for index in sorted(used) if graph.tensors[index].is_constant}
    return Program(graph, kernels, missing, constants, number=number)


def prepare_kernel(graph: Graph, op: Op) -> Kernel:
    """The operator's kernel. Raises NoKernel, also where its operands cannot be right."""
    if op.kind in _CONTROL:
        return _no_kernel_needed
    operator = OPERATORS.get(op.kind)
    if operator is None or operator.kernel is None:
        raise NoKernel("not executed by mcuprof")
    try:
        with np.errstate(all="ignore"):
            return _in_its_numerics(operator.kernel, graph, op)
    except (LookupError, ValueError, TypeError, ZeroDivisionError, OverflowError) as error:
        raise NoKernel(f"its operands do not fit ({str(error) or type(error).__name__})") from error


def _in_its_numerics(prepare_it: Prepare, graph: Graph, op: Op) -> Kernel:
    """The kernel itself; under ONNX Runtime also the ways around a missing integer kernel."""
    if not is_onnx(graph):
        return prepare_it(graph, op)
    direct = partial(prepare_it, graph, op)
    ways: list[Callable[[], Kernel]] = [
        direct,
        lambda: through_floats(prepare_it, graph, op),
        lambda: at_run_time(prepare_it, graph, op),
    ]
    if is_float_island(op):
        ways[:2] = ways[1::-1]
    reasons = []
    for way in ways:
        try:
            return way()
        except NoKernel as error:
            reasons.append(error)
    # What works on floats is in want of no quantization: the reason is its own kernel's.
    floats = bool(op.inputs) and op.inputs[0] != ABSENT and graph.tensors[op.inputs[0]].dtype.is_float
    raise reasons[ways.index(direct) if floats else -1]


def _no_kernel_needed(inputs: Sequence[Any]) -> tuple[Array, ...]:
    return ()


def _constant(graph: Graph, index: int) -> Array:
    try:
        storage(graph.tensors[index].dtype)
        return graph.tensors[index].array()
    except (NoKernel, TypeError, ValueError) as error:
        raise ModelError(f"constant {graph.tensors[index].name!r} cannot be read: {error}") from error


def run_operator(program: Program, index: int, inputs: Sequence[Any], state: State) -> tuple[Array, ...]:
    """Executes operator `index` on its input arrays (None where absent), updates the state, returns its outputs.

    Raises ModelError when the kernel finds at run time that it cannot go on.
    """
    op = program.graph.ops[index]
    try:
        control = _CONTROL.get(op.kind)
        if control is not None:
            return control(program, index, inputs, state)
        own = _kept(program, index, state)
        with np.errstate(all="ignore"):  # infinities and NaN go their way silently, as they do in C
            results = program.kernels[index]([*inputs, *own] if own else inputs)
    except _STUMBLED as error:
        raise _cannot_run(index, op, error) from error
    if own:
        state.kept[program.number, index] = results[-len(own) :]
        results = results[: -len(own)]
    outputs = len(op.outputs)
    updated = [position for position in op.inputs if position != ABSENT and program.graph.tensors[position].variable]
    for tensor, content in zip(updated, results[outputs:], strict=False):
        state.variables[tensor] = content
    return results[:outputs]


def _kept(program: Program, index: int, state: State) -> tuple[Array, ...]:
    """What the operator has kept for itself since the last reset."""
    op = program.graph.ops[index]
    if not keeps_state(op):
        return ()
    have = state.kept.get((program.number, index))
    rule = OPERATORS[op.kind].state
    assert rule is not None, "it keeps state"
    return have if have is not None else rule(program.graph, op)


def run_stretch(program: Program, index: int, inputs: Sequence[Any], state: State, start: int, stop: int) -> Array:
    """Elements start … stop of the only output of operator `index`, flat.

    A kernel that goes by rows makes only the rows they lie in; any other makes all. Raises as `run_operator`.
    """
    kernel = program.kernels.get(index)
    if not isinstance(kernel, ByRows):
        (value,) = run_operator(program, index, inputs, state)
        return value.reshape(-1)[start:stop]
    op = program.graph.ops[index]
    row = program.graph.output(op).elements // kernel.rows
    first = start // row
    try:
        with np.errstate(all="ignore"):
            rows = kernel.part(inputs, first, -(-stop // row))
    except _STUMBLED as error:
        raise _cannot_run(index, op, error) from error
    return rows.reshape(-1)[start - first * row : stop - first * row]


_STUMBLED = (NoKernel, ValueError, LookupError, TypeError, ZeroDivisionError, OverflowError, RecursionError)


def _cannot_run(index: int, op: Op, error: Exception) -> ModelError:
    reason = "its subgraphs are nested too deeply" if isinstance(error, RecursionError) else error
    return ModelError(f"operator {index} ({op.kind}) cannot run: {reason}")


def evaluate(
    program: Program, inputs: Mapping[int, Array], state: State, order: Sequence[int] | None = None
) -> dict[int, Array]:
    """Runs the graph on plain arrays. Returns every tensor that could be computed, by index.

    Operators without a kernel are skipped, and with them whatever needs their outputs.
    """
    values: dict[int, Array] = {**program.constants, **inputs}
    for index in order if order is not None else range(len(program.graph.ops)):
        op = program.graph.ops[index]
        if index in program.missing:
            continue
        operands = [operand(program, tensor, values, state) for tensor in op.inputs]
        if any(have is None and tensor != ABSENT for have, tensor in zip(operands, op.inputs, strict=True)):
            continue
        for tensor, value in zip(op.outputs, run_operator(program, index, operands, state), strict=False):
            if tensor != ABSENT:
                values[tensor] = value
    return values


def operand(program: Program, tensor: int, values: Mapping[int, Array], state: State) -> Any:
    """The array an operator reads for this tensor index; None when absent or not computed."""
    if tensor == ABSENT:
        return None
    return state.variables.get(tensor, values.get(tensor))


# Control flow and resources -------------------------------------------------------------------------------------------


def _body(program: Program, op: Op, name: str) -> Program:
    number = op.integer(name, -1)
    if not 1 <= number <= len(program.subprograms):
        raise NoKernel(f"{name.replace('_', ' ')} {number} does not exist")
    body = program.subprograms[number - 1]
    return replace(body, subprograms=program.subprograms)


def _call(body: Program, arguments: Sequence[Any], state: State) -> tuple[Array, ...]:
    inner = body.initial_state()
    inner.resources, inner.called, inner.kept = state.resources, state.called, state.kept
    values = evaluate(body, dict(zip(body.graph.inputs, arguments, strict=True)), inner)
    return tuple(values[index] for index in body.graph.outputs)


def _handle(program: Program, index: int, inputs: Sequence[Any], state: State) -> tuple[Array, ...]:
    op = program.graph.ops[index]
    return (np.array(f"{op.text('container')}/{op.text('shared_name')}"),)


def _read(program: Program, index: int, inputs: Sequence[Any], state: State) -> tuple[Array, ...]:
    out = program.graph.output(program.graph.ops[index])
    found = state.resources.get(str(inputs[0]))
    return (np.zeros(out.shape, storage(out.dtype)) if found is None else found,)


def _assign(program: Program, index: int, inputs: Sequence[Any], state: State) -> tuple[Array, ...]:
    state.resources[str(inputs[0])] = inputs[1].copy()
    return ()


def _call_once(program: Program, index: int, inputs: Sequence[Any], state: State) -> tuple[Array, ...]:
    op = program.graph.ops[index]
    if op.integer("init_subgraph") not in state.called:
        state.called.add(op.integer("init_subgraph"))
        _call(_body(program, op, "init_subgraph"), inputs, state)
    return ()


def _if(program: Program, index: int, inputs: Sequence[Any], state: State) -> tuple[Array, ...]:
    branch = "then_subgraph" if bool(np.all(inputs[0])) else "else_subgraph"
    return _call(_body(program, program.graph.ops[index], branch), inputs[1:], state)


def _while(program: Program, index: int, inputs: Sequence[Any], state: State) -> tuple[Array, ...]:
    op = program.graph.ops[index]
    condition, body = _body(program, op, "cond_subgraph"), _body(program, op, "body_subgraph")
    values: tuple[Any, ...] = tuple(inputs)
    rounds = 0
    while bool(np.all(_call(condition, values, state)[0])):
        values = _call(body, values, state)
        rounds += 1
        if rounds > MAX_ROUNDS:
            raise NoKernel(f"its loop has not ended after {MAX_ROUNDS:,} rounds")
    return values


_INSIDE = "in its subgraph, operator"
# Attributes that name the subgraphs an operator enters.
_BODIES: Mapping[str, tuple[str, ...]] = {
    "IF": ("then_subgraph", "else_subgraph"),
    "WHILE": ("cond_subgraph", "body_subgraph"),
    "CALL_ONCE": ("init_subgraph",),
}
_CONTROL: Mapping[str, Callable[[Program, int, Sequence[Any], State], tuple[Array, ...]]] = {
    "VAR_HANDLE": _handle,
    "READ_VARIABLE": _read,
    "ASSIGN_VARIABLE": _assign,
    "CALL_ONCE": _call_once,
    "IF": _if,
    "WHILE": _while,
}


def computed(program: Program) -> Iterator[int]:
    """Indices of the tensors that operators write, in execution order, each once."""
    seen: set[int] = set()
    for op in program.graph.ops:
        for tensor in op.outputs:
            if tensor != ABSENT and tensor not in seen:
                seen.add(tensor)
                yield tensor
