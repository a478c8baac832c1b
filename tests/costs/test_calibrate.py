"""The refit against published latencies, and against runs made from known factors."""

from __future__ import annotations

import csv
from math import exp, inf, log
from statistics import median

import pytest

from mcuprof.costs.calibrate import Prior, Run, Step, predicted_cycles, prior, refit
from mcuprof.hardware import database_path


def published(core: str) -> list[Run]:
    """Measured runs (`device_db/measurements`): cycles are the published ms times the published clock."""
    with (database_path() / "measurements" / "cpu_latency.csv").open(encoding="utf-8", newline="") as file:
        wanted = ("tflm", "cmsis-nn", core)
        rows = [row for row in csv.DictReader(file) if (row["runtime"], row["kernels"], row["core"]) == wanted]
    runs = []
    for row in rows:
        count, operators = int(row["weighed"]), int(row["operators"])
        steps = tuple(Step("any", count / operators) for _ in range(operators))
        runs.append(Run(row["model"], float(row["ms"]) * int(row["clock_hz"]) / 1000, steps))
    return runs


def error(run: Run, by: object) -> float:
    return abs(log(run.cycles / predicted_cycles(run, by)))  # type: ignore[arg-type]


def test_half_of_the_published_models_predict_the_other_half() -> None:
    """Cortex-M4, 17 models of two laboratories; nothing but the runs is known of cpi."""
    runs, known = published("cortex-m4"), prior("cortex-m4", "cmsis-nn")
    blank = Prior(None, known.e, known.model_spread, inf, known.elsewhere)
    names = sorted({run.model for run in runs})
    inside, errors = [], []
    for half in (names[::2], names[1::2]):
        fit = refit([run for run in runs if run.model in half], blank)
        rest = [run for run in runs if run.model not in half]
        errors += [error(run, fit) for run in rest]
        inside += [error(run, fit) <= log(fit.band) for run in rest]
    assert exp(median(errors)) - 1 < 0.15
    assert sum(inside) >= 0.9 * len(inside)


@pytest.mark.parametrize("core", ["cortex-m33", "cortex-m7"])
def test_one_run_of_another_board_corrects_a_wrong_prior(core: str) -> None:
    """Published runs of one core, with another core's factor as prior: one run must help, all must nearly win."""
    wrong = prior("cortex-m4", "cmsis-nn")
    assert wrong.cpi is not None
    runs = published(core)
    for run in runs:
        rest = [other for other in runs if other.model != run.model]
        before = abs(log(run.cycles / (wrong.cpi * sum(step.instructions + wrong.e for step in run.steps))))
        one, many = refit(rest[:1], wrong), refit(rest, wrong)
        assert error(run, one) < before
        assert error(run, many) < 0.25 * before + 0.1
        assert error(run, many) <= log(many.band)


def made(cpi: float, e: float, factors: dict[str, float], sizes: list[tuple[str, list[tuple[str, int]]]]) -> list[Run]:
    """Runs whose every operator takes exactly what the law says."""
    runs = []
    for model, steps in sizes:
        timed = tuple(Step(kernel, count, cpi * factors.get(kernel, 1.0) * (count + e)) for kernel, count in steps)
        runs.append(Run(model, sum(step.cycles or 0.0 for step in timed), timed))
    return runs


SIZES = [
    ("a", [("conv", 1_000_000), ("conv", 400_000), ("dw", 300_000), ("dw", 90_000), ("fc", 3_000), ("fc", 800)]),
    ("b", [("conv", 50_000), ("conv", 70_000), ("dw", 20_000), ("dw", 35_000), ("fc", 60_000), ("fc", 9_000)]),
    ("c", [("conv", 5_000_000), ("conv", 800_000), ("dw", 900_000), ("dw", 100_000), ("fc", 700), ("fc", 5_000)]),
    ("d", [("fc", 200_000), ("fc", 100_000), ("fc", 50_000), ("fc", 1_000), ("dw", 700), ("conv", 90_000)]),
]


def test_factors_that_made_the_runs_are_found() -> None:
    factors = {"conv": 0.8, "dw": 1.5, "fc": 1.0}
    known = Prior(None, 500.0, 0.118, inf, 1.4)
    runs = made(2.0, 500.0, factors, SIZES)
    fit = refit(runs, known)
    for run in runs:
        assert error(run, fit) < 0.08
    ratio = {kernel: fit.factors[kernel] / fit.factors["conv"] for kernel in factors}
    assert ratio["dw"] == pytest.approx(1.5 / 0.8, rel=0.1)
    assert ratio["fc"] == pytest.approx(1.0 / 0.8, rel=0.1)
    whole = [
        Run(run.model, run.cycles, tuple(Step(step.kernel, step.instructions) for step in run.steps)) for run in runs
    ]
    blind = refit(whole, known)
    assert blind.factors == {}
    assert max(map(abs, fit.held_out.values())) < max(map(abs, blind.held_out.values()))


def test_without_noise_and_prior_the_law_is_recovered() -> None:
    fit = refit(made(1.7, 800.0, {}, SIZES), Prior(None, 800.0, 0.118, inf, 1.4))
    assert fit.cpi == pytest.approx(1.7, rel=1e-6)
    assert fit.e == pytest.approx(800.0)
    assert all(factor == pytest.approx(1.0) for factor in fit.factors.values())
    assert fit.held_out == pytest.approx(dict.fromkeys("abcd", 0.0), abs=1e-9)


def test_a_slow_start_of_operators_is_learned() -> None:
    """e of the runs is thirty times the prior's, as on the published Cortex-M85."""
    sizes = [(model, [(kernel, count // 20) for kernel, count in steps]) for model, steps in SIZES]
    whole = [
        Run(run.model, run.cycles, tuple(Step(step.kernel, step.instructions) for step in run.steps))
        for run in made(0.9, 15_000.0, {}, sizes)
    ]
    fit = refit(whole, Prior(None, 500.0, 0.118, inf, 1.4))
    assert 10_000 < fit.e < 20_000


def test_the_prior_weighs_less_with_every_run() -> None:
    """Normal means with known variances (Gelman et al., Bayesian Data Analysis, 3rd ed., eq. 2.11 and 2.12)."""
    known = Prior(1.0, 0.0, 0.1, 0.2, 1.4)
    runs = [Run(name, 2.0 * 1000, (Step("any", 1000),)) for name in "abcd"]
    for count in (1, 2, 4):
        weight = count / 0.1**2 / (count / 0.1**2 + 1 / 0.2**2)
        assert log(refit(runs[:count], known).cpi) == pytest.approx(weight * log(2.0))
    again = refit([runs[0], runs[0], runs[0]], known)  # a model that was run three times is one model
    assert again.cpi == pytest.approx(refit(runs[:1], known).cpi)
    assert refit(runs[:1], known).band > refit(runs, known).band > exp(1.645 * 0.1)
