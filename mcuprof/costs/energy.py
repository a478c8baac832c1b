"""Energy of one inference where it was measured: time × the power that a board drew with this runtime and clock.

`device_db/kernels/energy.toml` holds the powers, fitted on MLPerf Tiny's energy runs by `tools/fit_energy.py`. Power
depends on board, clock, software and supply, so nothing is said of any other; supplies are told apart, never averaged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mcuprof.cost_document import Energy
from mcuprof.costs.data import toml
from mcuprof.costs.laws import NoData
from mcuprof.document import Latency
from mcuprof.hardware.device import Device
from mcuprof.runtimes.foreign import versions


def energy(latency: Latency | None, device: Device, *, runtime: str, kernels: str) -> tuple[Energy, ...] | NoData:
    """Microjoules with their band, one entry a supply that was measured; NoData with the reason where there is none."""
    found = _measured(device, runtime, kernels)
    if isinstance(found, NoData):
        return found
    if latency is None or latency.ms is None or latency.low_ms is None or latency.high_ms is None:
        return NoData("the time of an inference is not known")
    ms, low, high = latency.ms, latency.low_ms, latency.high_ms
    return tuple(
        Energy(
            one["supply"],
            ms * one["milliwatts"],
            low * one["milliwatts"] / one["band"],
            high * one["milliwatts"] * one["band"],
            _basis(one),
        )
        for one in found
    )


def _measured(device: Device, runtime: str, kernels: str) -> Sequence[Mapping[str, Any]] | NoData:
    """The powers of this board and software at this clock, those of the newest version that was measured."""
    entries = (toml("kernels/energy.toml") or {}).get("powers", ())
    here = [one for one in entries if one["board"] == device.id and one["core"] == device.core.id]
    software = f"{kernels} kernels" if runtime == "tflm" else runtime
    if not here:
        return NoData(f"no published energy of an inference on {device.id}")
    # microTVM calls the very functions that TFLM calls, as for latencies.
    names = ("tflm",) if (runtime, kernels) == ("microtvm", "cmsis-nn") else versions(runtime)
    for name in names:
        mine = [one for one in here if (one["runtime"], one["kernels"]) == (name, kernels)]
        if not mine:
            continue
        clocked = [one for one in mine if one["clock_hz"] == device.clock_hz]
        if clocked:
            return clocked
        clocks = ", ".join(f"{clock / 1e6:g} MHz" for clock in sorted({one["clock_hz"] for one in mine}))
        return NoData(f"energy of {software} on {device.id} was measured at {clocks} only")
    return NoData(f"no published energy of {software} on {device.id}")


def _basis(one: Mapping[str, Any]) -> str:
    return (
        f"modelled: {one['milliwatts']:.3g} mW over the time of an inference, from {one['rows']} published energies of "
        f"{one['models']} networks with {one['software']} on {one['board']}, {one['supply']} ({one['source']}), "
        f"median error of the power {one['error_median']:.0%} on unseen networks"
    )
