"""From instructions to cycles: a factor per runtime, kernel set and core, fitted on published latencies.

The band. `device_db/kernels/cycles.toml` holds a factor `band` such that the measured time of a network that the fit
had not seen lies within [estimate / band, estimate · band] in 90 % of cases (rank of held-out errors; with fewer than
nine of them, no less than of all pairs as small). It holds for the measured board at the measured clock. Any other
board of that core has other flash wait states and caches: its band is widened by the error of predicting one measured
board from another.

Where no board with that core and kernel set was measured there is no factor, and no cycles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mcuprof.costs.data import toml
from mcuprof.costs.shares import share
from mcuprof.hardware.device import Calibration, Device
from mcuprof.runtimes.foreign import versions

# What is known about the pairs that look as if they could have a number.
_REASONS = {
    ("cortex-m0", "cmsis-nn"): "no published latency of CMSIS-NN on Cortex-M0",
    ("cortex-m0plus", "cmsis-nn"): "no published latency of CMSIS-NN on Cortex-M0+ (Bosch HALE only)",
    ("cortex-m3", "cmsis-nn"): "no published latency of CMSIS-NN on Cortex-M3",
    ("cortex-m55", "cmsis-nn"): "no published latency of CMSIS-NN on Cortex-M55 without an NPU",
    ("xtensa-lx6", "reference"): "one published latency of reference kernels on ESP32: nothing to hold out",
    ("xtensa-lx7-pie", "reference"): "the published latency of reference kernels on ESP32-S3 is not of a release build",
    ("rv32imafc-pie", "reference"): "the published latency of reference kernels on ESP32-P4 is not of a release build",
}


@dataclass(frozen=True, slots=True)
class Anchor:
    """What published latencies say of one runtime, kernel set and core; `bands` as in the module's text.

    cycles = board · `cpi` · (Σ `shares` · instructions + `per_operator` · operators + `per_inference`
    + `per_weight_byte` · bytes of weights). `boards` are the measured ones: clock and factor. `work` is the core and
    kernel set whose counts the instructions are; `rough` says that these only stand in for the pair's own kernels.
    `factors` correct kernel classes, `calibrated` where the factor comes from the user's own runs. `median` is None
    where nothing could be held out.
    """

    cpi: float
    per_operator: float
    boards: Mapping[str, tuple[int, float]]
    band: float
    band_elsewhere: float
    rows: int
    models: int
    median: float | None
    source: str
    note: str
    runtime: str = "tflm"
    work: tuple[str, str] | None = None
    rough: bool = False
    shares: Mapping[str, float] = field(default_factory=dict)
    per_inference: float = 0.0
    per_weight_byte: float = 0.0
    factors: Mapping[str, float] = field(default_factory=dict)
    calibrated: bool = False

    def measured_at(self, device: str, clock_hz: int | None) -> bool:
        """True when this device at this clock is among the measured ones."""
        return device in self.boards and self.boards[device][0] == clock_hz

    def band_for(self, device: str, clock_hz: int | None) -> float:
        """The band's factor on this device at this clock."""
        return self.band if self.measured_at(device, clock_hz) else self.band_elsewhere

    def board(self, device: str) -> float:
        """How much slower than others this board was measured to be; 1 for one that was not measured."""
        return self.boards[device][1] if device in self.boards else 1.0

    def weighed(self, kernel: str, instructions: float, weight_bytes: int = 0) -> float:
        """Instructions of one operator as this runtime and its memory make them count."""
        return self.shares.get(share(kernel), 1.0) * instructions + self.per_weight_byte * weight_bytes

    def weighted(self, kernel: str, instructions: float, weight_bytes: int = 0) -> float:
        """The same with what starting the operator costs, corrected by what the user's own runs say of its class."""
        return self.factors.get(kernel, 1.0) * (self.weighed(kernel, instructions, weight_bytes) + self.per_operator)

    def cycles(self, weighted: float, device: str = "") -> int:
        """Cycles of so many weighted instructions on a device."""
        return round(self.board(device) * self.cpi * weighted)

    def basis(self, device: str, clock_hz: int | None) -> str:
        """One sentence: where the factor comes from and how sure it is here."""
        if self.calibrated:
            return self._calibrated_basis(clock_hz)
        where = ", ".join(sorted(self.boards))
        here = "" if self.measured_at(device, clock_hz) else ", not this board and clock: wider band"
        error = "nothing to hold out" if self.median is None else f"median error {self.median:.0%} on unseen models"
        note = f"; {self.note}" if self.note else ""
        software = "" if self.runtime == "tflm" else f" of {self.runtime}"
        return (
            f"modelled: {self.cpi:.3g} cycles per instruction from {self.rows} published latencies{software} on "
            f"{where}{here} ({self.source}{note}), {error}"
        )

    def _calibrated_basis(self, clock_hz: int | None) -> str:
        runs = f"{self.rows} measured runs of {self.models} models" if self.models > 1 else "runs of one model"
        error = "nothing to hold out" if self.median is None else f"median error {self.median:.0%} on unseen models"
        known = any(clock_hz == clock for clock, _ in self.boards.values())
        elsewhere = "" if known else ", not at this clock: wider band"
        return f"calibrated: {self.cpi:.3g} cycles per instruction from {runs} in {self.source}{elsewhere}, {error}"


def anchor_of(device: Device, core: str, kernels: str, runtime: str = "tflm") -> Anchor | str:
    """The device's own calibration where it has one for this core, kernel set and runtime, else `anchor`."""
    own = device.calibration
    if own is None or (own.core, own.kernels, own.runtime) != (core, kernels, runtime):
        return anchor(core, kernels, runtime)
    return from_calibration(own, device.id)


def from_calibration(own: Calibration, device: str) -> Anchor:
    """The factor that a calibration of this device holds, with the published shares of its core and kernel set."""
    known = anchor(own.core, own.kernels, own.runtime)
    return Anchor(
        own.cpi,
        own.instructions_per_operator,
        {device: (own.clock_hz, 1.0)},
        own.band,
        own.band_elsewhere,
        own.rows,
        own.models,
        own.error_median,
        own.source,
        "",
        shares={} if isinstance(known, str) else known.shares,
        per_inference=0.0 if isinstance(known, str) else known.per_inference,
        per_weight_byte=0.0 if isinstance(known, str) else known.per_weight_byte,
        factors=own.factors,
        calibrated=True,
    )


def anchor(core: str, kernels: str, runtime: str = "tflm") -> Anchor | str:
    """The factor for this core id, kernel set and runtime (its newest version there), or why there is none."""
    known = {(entry["runtime"], entry["kernels"], entry["core"]): entry for entry in _entries()}
    # microTVM calls the very functions that TFLM calls: their latencies are fitted together.
    asked = ("tflm",) if (runtime, kernels) == ("microtvm", "cmsis-nn") else versions(runtime)
    for name in asked:
        entry = known.get((name, kernels, core))
        if entry is not None:
            return _anchor(entry)
    software = f"{kernels} kernels" if runtime == "tflm" else runtime
    return _REASONS.get((core, kernels), f"no published latency of {software} on {core}")


def _entries() -> Sequence[Mapping[str, Any]]:
    return tuple((toml("kernels/cycles.toml") or {}).get("anchors", ()))


def _anchor(entry: Mapping[str, Any]) -> Anchor:
    return Anchor(
        entry["cpi"],
        entry["per_operator"],
        {name: (clock, factor) for name, clock, factor in entry["boards"]},
        entry["band"],
        entry["band_elsewhere"],
        entry["rows"],
        entry["models"],
        entry["error_median"],
        entry["source"],
        entry["note"],
        runtime=entry["runtime"],
        work=(entry["work"][0], entry["work"][1]),
        rough=entry["rough"],
        shares=entry["shares"],
        per_inference=entry["per_inference"],
        per_weight_byte=entry["per_weight_byte"],
    )
