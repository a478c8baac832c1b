"""Refitting cycles per instruction on a user's own runs, with what is known of the core as prior.

Per model m, y = ln(measured cycles / Σ factor · (instructions + e)). Models scatter around ln cpi with the error σ
that the published fit makes on models it has not seen; ln cpi itself scatters around the core's published value with τ,
the error of predicting one board from another. The posterior mean of ln cpi is the weighted mean of both. The same for
ln e, and for ln factor of each kernel class, where the spreads between and within classes come from the runs themselves
(method of moments, as in empirical Bayes: Efron and Morris, JASA 70, 1975). A few runs move the factors a little, many
decide them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, exp, inf, log, sqrt
from statistics import fmean, median, pvariance

from mcuprof.costs.cycles import anchor
from mcuprof.hardware.device import Calibration

# 90 % of a normal distribution lie within this many standard deviations.
_NINETY = 1.645
_COVERAGE = 0.9
# The two values of e that published latencies gave, 575 (Cortex-M4) and 15,500 (Cortex-M85), differ by this in ln.
_E_SPREAD = log(15500 / 575) / sqrt(2)
_E_STEPS = 60
_MODELS_FOR_E = 3
# The core and kernels with most published rows lend e and σ to those that have none.
_BEST_KNOWN = ("cortex-m4", "cmsis-nn")


@dataclass(frozen=True, slots=True)
class Step:
    """One operator: its kernel class, its modelled instructions and, where it was measured alone, its cycles."""

    kernel: str
    instructions: float
    cycles: float | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """One measurement of a model, or of some of its operators: all `steps` together took `cycles`."""

    model: str
    cycles: float
    steps: tuple[Step, ...]
    per_inference: float = 0.0
    place: str = ""


@dataclass(frozen=True, slots=True)
class Prior:
    """What is known before the runs. `cpi` None: nothing. Spreads are standard deviations of logarithms."""

    cpi: float | None
    e: float
    model_spread: float
    board_spread: float
    elsewhere: float


@dataclass(frozen=True, slots=True)
class Fit:
    """The factors that the runs give, and ln(measured / predicted) of each model by the fit without it."""

    cpi: float
    e: float
    factors: Mapping[str, float]
    held_out: Mapping[str, float]
    band: float


def prior(core: str, kernels: str) -> Prior:
    """The published factor of this core and kernel set; its spreads are those of the best known pair without one."""
    best, own = anchor(*_BEST_KNOWN), anchor(core, kernels)
    if isinstance(best, str):
        raise LookupError(best)
    known = best if isinstance(own, str) else own
    elsewhere = known.band_elsewhere / known.band
    spread = log(known.band) / _NINETY
    if isinstance(own, str):
        return Prior(None, best.per_operator, spread, inf, elsewhere)
    return Prior(own.cpi, own.per_operator, spread, log(own.band_elsewhere) / _NINETY, elsewhere)


def refit(runs: Sequence[Run], known: Prior) -> Fit:
    """Factors, held-out errors and band of these runs. Raises ValueError when there is none."""
    if not runs:
        raise ValueError("no run")
    cpi, e, factors = _fit(runs, known)
    held_out: dict[str, float] = {}
    names = list(dict.fromkeys(run.model for run in runs))
    if len(names) > 1:
        for name in names:
            rest = [run for run in runs if run.model != name]
            other_cpi, other_e, other_factors = _fit(rest, known)
            mine = [run for run in runs if run.model == name]
            held_out[name] = fmean(_level(run, other_e, other_factors) for run in mine) - log(other_cpi)
    return Fit(cpi, e, factors, held_out, _band(held_out, len(names), known))


def calibration(
    fit: Fit, runs: Sequence[Run], known: Prior, *, core: str, kernels: str, clock_hz: int, source: str
) -> Calibration:
    """The fit as it is stored in a device file; errors are relative, as exp(|ln|) − 1."""
    errors = [exp(abs(error)) - 1 for error in fit.held_out.values()]
    return Calibration(
        core=core,
        kernels=kernels,
        runtime="tflm",
        clock_hz=clock_hz,
        cpi=fit.cpi,
        instructions_per_operator=fit.e,
        band=fit.band,
        band_elsewhere=fit.band * known.elsewhere,
        rows=len(runs),
        models=len({run.model for run in runs}),
        source=source,
        error_median=median(errors) if errors else None,
        error_worst=max(errors) if errors else None,
        factors=fit.factors,
    )


def _fit(runs: Sequence[Run], known: Prior) -> tuple[float, float, dict[str, float]]:
    factors: dict[str, float] = {}
    e = _best_e(runs, known, factors)
    cpi = _cpi(runs, known, e, factors)
    if any(step.cycles is not None for run in runs for step in run.steps):
        factors = _factors(runs, cpi, e)
        cpi = _cpi(runs, known, e, factors)
    return cpi, e, factors


def _level(run: Run, e: float, factors: Mapping[str, float]) -> float:
    """ln(measured cycles / weighted instructions) of one run."""
    weighted = run.per_inference + sum(factors.get(step.kernel, 1.0) * (step.instructions + e) for step in run.steps)
    return log(run.cycles / weighted)


def _levels(runs: Sequence[Run], e: float, factors: Mapping[str, float]) -> list[float]:
    """One level per model: repeated runs of a model do not count twice."""
    by_model: dict[str, list[float]] = {}
    for run in runs:
        by_model.setdefault(run.model, []).append(_level(run, e, factors))
    return [fmean(levels) for levels in by_model.values()]


def _cpi(runs: Sequence[Run], known: Prior, e: float, factors: Mapping[str, float]) -> float:
    levels = _levels(runs, e, factors)
    if known.cpi is None:
        return exp(fmean(levels))
    weight, own = 1 / known.board_spread**2, len(levels) / known.model_spread**2
    return exp((own * fmean(levels) + weight * log(known.cpi)) / (own + weight))


def _best_e(runs: Sequence[Run], known: Prior, factors: Mapping[str, float]) -> float:
    """The e of greatest posterior density, on a grid; the prior's where there are too few models to tell."""
    if len({run.model for run in runs}) < _MODELS_FOR_E or known.e <= 0:
        return known.e

    def misfit(shift: float) -> float:
        e = known.e * exp(shift)
        middle = log(_cpi(runs, known, e, factors))
        scatter = sum((level - middle) ** 2 for level in _levels(runs, e, factors)) / known.model_spread**2
        moved = 0.0 if known.cpi is None else ((middle - log(known.cpi)) / known.board_spread) ** 2
        return scatter + moved + (shift / _E_SPREAD) ** 2

    grid = [step * 3 * _E_SPREAD / _E_STEPS for step in range(-_E_STEPS, _E_STEPS + 1)]
    return known.e * exp(min(grid, key=lambda shift: (misfit(shift), abs(shift))))


def _factors(runs: Sequence[Run], cpi: float, e: float) -> dict[str, float]:
    """Kernel class → factor, shrunk towards the mean by how much of the spread is between classes."""
    logs: dict[str, list[float]] = {}
    for run in runs:
        for step in run.steps:
            if step.cycles is not None:
                logs.setdefault(step.kernel, []).append(log(step.cycles / (cpi * (step.instructions + e))))
    many = {kernel: values for kernel, values in logs.items() if len(values) > 1}
    spare = sum(len(values) - 1 for values in many.values())
    total = pvariance([fmean(values) for values in logs.values()]) if len(logs) > 1 else 0.0
    # Where no class was measured twice, half of the spread is taken for noise.
    within = sum(len(values) * pvariance(values) for values in many.values()) / spare if spare else total / 2
    between = max(0.0, total - within * fmean(1 / len(values) for values in logs.values())) if spare else total / 2
    return {
        kernel: exp(fmean(values) * between / (between + within / len(values))) if between > 0 else 1.0
        for kernel, values in sorted(logs.items())
    }


def _band(held_out: Mapping[str, float], models: int, known: Prior) -> float:
    """A factor that a new model stays within with 90 %.

    With nine models or more the rank of the held-out errors (split conformal). With fewer that rank does not exist:
    the worst one times 1.5, and at least what the prior predicts after so many models.
    """
    sizes = sorted(abs(error) for error in held_out.values())
    rank = ceil((len(sizes) + 1) * _COVERAGE)
    if sizes and rank <= len(sizes):
        return exp(sizes[rank - 1])
    seen = models + (known.model_spread / known.board_spread) ** 2
    predicted = _NINETY * known.model_spread * sqrt(1 + 1 / seen)
    return exp(max(predicted, 1.5 * sizes[-1] if sizes else 0.0))


def predicted_cycles(run: Run, by: Fit) -> float:
    """The cycles that a fit predicts for what was run."""
    return run.cycles * by.cpi / exp(_level(run, by.e, by.factors))
