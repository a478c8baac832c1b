"""Floor 4: a device's calibration from measured runs of models: what was measured, beside what was counted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mcuprof import costs
from mcuprof.costs.calibrate import Fit, Prior, Run, Step, calibration, predicted_cycles, prior, refit
from mcuprof.costs.cycles import anchor
from mcuprof.costs.runs import Measured
from mcuprof.errors import UsageError
from mcuprof.graph import Graph
from mcuprof.hardware import Calibration, Device

# Cycles per instruction outside this range are a wrong unit or clock, not a slow memory: two instructions per cycle is
# the most that a core of the database issues, and sixty cycles is every fetch and access from slow external flash.
_PLAUSIBLE = (0.4, 60.0)
# How far the milliseconds in a profile may be from its ticks.
_TICK_TOLERANCE = 0.1
_TELLING_MS = 20

ReadModel = Callable[[str], Graph]


@dataclass(frozen=True, slots=True)
class Row:
    """One run beside its estimate. `held_out` is the estimate of the fit without this model, None for the only one."""

    model: str
    place: str
    operators: int
    measured_ms: float
    fitted_ms: float
    held_out_ms: float | None


@dataclass(frozen=True, slots=True)
class Calibrated:
    """What `calibrate` found: the table for the device file, the runs, and what was known before."""

    calibration: Calibration
    prior_cpi: float | None
    rows: tuple[Row, ...]


def calibrate(
    device: Device,
    measured: Sequence[Measured],
    read_model: ReadModel,
    *,
    model: str | None = None,
    kernels: str | None = None,
    clock_hz: int | None = None,
    tick_hz: int | None = None,
) -> Calibrated:
    """Refit the device's cycles per instruction on these runs; nothing is stored.

    `model` is the model of all measurements that name none. `clock_hz` is the clock during the runs (default: the
    device's), `tick_hz` that of a profile's ticks (default: the same). Raises UsageError with file, line and reason
    for measurements that cannot be used or are too few, ModelError for models that cannot be read.
    """
    kernels, clock = kernels or device.kernels, clock_hz or device.clock_hz
    if clock is None:
        raise UsageError(f"the clock of {device.id} is not known: add --clock")
    if len(measured) < 2:
        raise UsageError(f"{measured[0].place}: one row only: nothing to check the fit with" if measured else "no rows")
    matched = _Matching(device, read_model, kernels, clock, tick_hz or clock)
    runs = matched.runs(measured, model)
    known = prior(device.core.id, kernels)
    for run in runs:
        level = run.cycles / (run.per_inference + sum(step.instructions + known.e for step in run.steps))
        if not _PLAUSIBLE[0] <= level <= _PLAUSIBLE[1]:
            ms = run.cycles / clock * 1000
            raise UsageError(
                f"{run.place}: {run.model} in {ms:.3g} ms at {clock / 1e6:g} MHz would be {level:.3g} cycles per "
                f"instruction: is the unit, the clock or the model another one?"
            )
    fit = refit(runs, known)
    source = ", ".join(dict.fromkeys(each.path.name for each in measured))
    table = calibration(fit, runs, known, core=device.core.id, kernels=kernels, clock_hz=clock, source=source)
    return Calibrated(table, known.cpi, tuple(_row(run, fit, known, runs, clock) for run in runs))


def _row(run: Run, fit: Fit, known: Prior, runs: Sequence[Run], clock: int) -> Row:
    held_out = None
    if run.model in fit.held_out:
        other = refit([each for each in runs if each.model != run.model], known)
        held_out = predicted_cycles(run, other) / clock * 1000
    fitted = predicted_cycles(run, fit) / clock * 1000
    return Row(run.model, run.place, len(run.steps), run.cycles / clock * 1000, fitted, held_out)


class _Matching:
    """Turns measurements into runs: reads and counts each model once."""

    def __init__(self, device: Device, read_model: ReadModel, kernels: str, clock: int, tick: int) -> None:
        self.device, self.read_model, self.kernels = device, read_model, kernels
        self.clock, self.tick = clock, tick
        self.known: dict[str, tuple[Graph, costs.Work]] = {}

    def runs(self, measured: Sequence[Measured], model: str | None) -> list[Run]:
        found: list[Run] = []
        operators: dict[str, list[Measured]] = {}
        profiles: dict[Path, list[Measured]] = {}
        for each in measured:
            name = self.name(each, model)
            if each.tag is not None:
                profiles.setdefault(each.path, []).append(each)
            elif each.operator is not None:
                operators.setdefault(name, []).append(each)
            else:
                found.append(self.whole(name, each))
        found += [self.listed(name, rows) for name, rows in operators.items()]
        for rows in profiles.values():
            found += self.profiled(self.name(rows[0], model), rows)
        return found

    def name(self, each: Measured, model: str | None) -> str:
        if each.model is not None:
            return str(each.path.parent / each.model)
        if model is None:
            raise UsageError(f"{each.place}: which model? Add a column model, or --model MODEL")
        return model

    def model(self, name: str, place: str) -> tuple[Graph, costs.Work]:
        if name not in self.known:
            graph = self.read_model(name)
            work = costs.work(graph, self.device.core, runtime="tflm", kernels=self.kernels)
            if isinstance(work, costs.NoData):
                raise UsageError(f"{place}: nothing to relate the times to: {work.reason}")
            self.known[name] = graph, work
        return self.known[name]

    def whole(self, name: str, each: Measured) -> Run:
        _, work = self.model(name, each.place)
        if isinstance(work.instructions, costs.NoData):
            raise UsageError(f"{each.place}: {name}: {work.instructions.reason}")
        return Run(name, self.cycles(each), _steps(work), work.per_inference, each.place)

    def listed(self, name: str, rows: Sequence[Measured]) -> Run:
        """Rows that name operators; several rows of one operator are averaged."""
        _, work = self.model(name, rows[0].place)
        by_index: dict[int, list[float]] = {}
        for each in rows:
            index = each.operator or 0
            if index >= len(work.counts):
                raise UsageError(f"{each.place}: {name} has {len(work.counts)} operators, none of index {index}")
            if work.counts[index].instructions is None:
                raise UsageError(f"{each.place}: operator {index}: {work.counts[index].basis}")
            by_index.setdefault(index, []).append(self.cycles(each))
        return _of_operators(name, work, {index: sum(c) / len(c) for index, c in by_index.items()}, rows[0].place)

    def profiled(self, name: str, rows: Sequence[Measured]) -> list[Run]:
        """Events in order of execution: one or more whole inferences. Operators without a cost law are left out."""
        self.check_ticks(rows)
        graph, work = self.model(name, rows[0].place)
        kinds = [op.kind for op in graph.ops]
        if len(rows) % max(1, len(kinds)):
            words = f"{len(rows)} events are not a whole number of inferences of {name} ({len(kinds)} operators)"
            raise UsageError(f"{rows[-1].place}: {words}")
        for number, each in enumerate(rows):
            kind = kinds[number % len(kinds)]
            if _plain(each.tag or "") != _plain(kind):
                words = f"event {number} is {each.tag}, operator {number % len(kinds)} of {name} is {kind}"
                raise UsageError(f"{each.place}: {words}")
        inferences = [rows[start : start + len(kinds)] for start in range(0, len(rows), len(kinds))]
        cycles = {
            index: sum(self.cycles(one[index]) for one in inferences) / len(inferences) for index in range(len(kinds))
        }
        timed = {index: c for index, c in cycles.items() if c > 0 and work.counts[index].instructions is not None}
        if not timed:
            raise UsageError(f"{rows[0].place}: no operator took a tick: the profiler's clock is too coarse")
        return [_of_operators(name, work, timed, rows[0].place)]

    def check_ticks(self, rows: Sequence[Measured]) -> None:
        """Where the profile prints milliseconds beside its ticks, they must agree with the tick's clock."""
        shown = [each for each in rows if each.ms is not None]
        ms = sum(each.ms or 0 for each in shown)
        if ms < _TELLING_MS * max(1, len(shown) // 4):
            return  # rounded down to whole milliseconds: says too little
        low = ms / 1000 * self.tick
        high = (ms + len(shown)) / 1000 * self.tick
        ticks = sum(each.value for each in shown)
        if not low * (1 - _TICK_TOLERANCE) <= ticks <= high * (1 + _TICK_TOLERANCE):
            rate = ticks / (ms + len(shown) / 2) / 1000
            words = f"its ticks and milliseconds are of a {rate:.3g} MHz tick, not {self.tick / 1e6:g} MHz"
            raise UsageError(f"{shown[0].place}: {words}: add --tick-rate, or --clock for the core")

    def cycles(self, each: Measured) -> float:
        scale: Mapping[str, float] = {
            "cycles": 1.0,
            "ms": self.clock / 1e3,
            "us": self.clock / 1e6,
            "ticks": self.clock / self.tick,
        }
        return each.value * scale[each.unit]


def _steps(work: costs.Work) -> tuple[Step, ...]:
    """Every operator with its instructions as the published latencies of this core weigh them."""
    published = anchor(work.core.id, work.kernels, work.runtime)
    if isinstance(published, str):
        return tuple(Step(one.kernel, one.instructions or 0) for one in work.counts)
    return tuple(
        Step(one.kernel, published.weighed(one.kernel, one.instructions or 0, weights))
        for one, weights in zip(work.counts, work.weight_bytes, strict=True)
    )


def _of_operators(name: str, work: costs.Work, cycles: Mapping[int, float], place: str) -> Run:
    every = _steps(work)
    steps = tuple(Step(every[i].kernel, every[i].instructions, cycles[i]) for i in sorted(cycles))
    return Run(name, sum(cycles.values()), steps, place=place)


def _plain(kind: str) -> str:
    """Profilers print a custom operator's own name, graphs `CUSTOM:name`."""
    return kind.removeprefix("CUSTOM:").upper()
