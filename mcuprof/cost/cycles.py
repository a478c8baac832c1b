"""From instructions to cycles: one factor per core and kernel set, fitted on published latencies.

The band. `device_db/kernels/cycles.toml` holds a factor `band` such that the measured time of a network that the fit
had not seen lies within [estimate / band, estimate · band] in 90 % of cases (rank of held-out errors; with fewer than
nine of them, the worst times 1.5). It holds for the measured board at the measured clock. Any other board of that core
has other flash wait states and caches: its band is widened by the error of predicting one measured board from another.

Where no board with that core and kernel set was measured there is no factor, and no cycles.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mcuprof.cost.data import toml
from mcuprof.hardware.device import Calibration, Device

# What is known about the pairs that look as if they could have a number.
_REASONS = {
    ("cortex-m0", "cmsis-nn"): "no published latency of CMSIS-NN on Cortex-M0",
    ("cortex-m0plus", "cmsis-nn"): "no published latency of CMSIS-NN on Cortex-M0+ (Bosch HALE only)",
    ("cortex-m3", "cmsis-nn"): "no published latency of CMSIS-NN on Cortex-M3",
    ("cortex-m55", "cmsis-nn"): "no published latency of CMSIS-NN on Cortex-M55 without an NPU",
    ("cortex-m7", "reference"): "the published reference-kernel latencies on Cortex-M7 are of a build with assertions",
}


@dataclass(frozen=True, slots=True)
class Anchor:
    """`cpi` cycles per instruction, for `instructions + per_operator · operators`; `bands` as in the module's text.

    `factors` correct kernel classes, `calibrated` where it comes from the user's own runs. `median` is None where
    nothing could be held out.
    """

    cpi: float
    per_operator: float
    boards: dict[str, int]
    band: float
    band_elsewhere: float
    rows: int
    models: int
    median: float | None
    source: str
    note: str
    factors: Mapping[str, float] = field(default_factory=dict)
    calibrated: bool = False

    def band_for(self, device: str, clock_hz: int | None) -> float:
        """The band's factor on this device at this clock."""
        return self.band if self.boards.get(device) == clock_hz else self.band_elsewhere

    def cycles(self, instructions: float, operators: int = 1) -> int:
        """Estimated cycles of so many instructions in so many operators."""
        return round(self.cpi * (instructions + self.per_operator * operators))

    def basis(self, device: str, clock_hz: int | None) -> str:
        """One sentence: where the factor comes from and how sure it is here."""
        if self.calibrated:
            return self._calibrated_basis(clock_hz)
        where = ", ".join(sorted(self.boards))
        here = "" if self.boards.get(device) == clock_hz else ", not this board and clock: wider band"
        error = "nothing to hold out" if self.median is None else f"median error {self.median:.0%} on unseen models"
        return (
            f"modelled: {self.cpi:.3g} cycles per instruction from {self.rows} published latencies on {where}{here} "
            f"({self.source}; {self.note}), {error}"
        )

    def _calibrated_basis(self, clock_hz: int | None) -> str:
        runs = f"{self.rows} measured runs of {self.models} models" if self.models > 1 else "runs of one model"
        error = "nothing to hold out" if self.median is None else f"median error {self.median:.0%} on unseen models"
        elsewhere = "" if clock_hz in self.boards.values() else ", not at this clock: wider band"
        return f"calibrated: {self.cpi:.3g} cycles per instruction from {runs} in {self.source}{elsewhere}, {error}"


def anchor_of(device: Device, core: str, kernels: str) -> Anchor | str:
    """The device's own calibration where it has one for this core and kernel set, else `anchor`."""
    own = device.calibration
    if own is None or (own.core, own.kernels, own.runtime) != (core, kernels, "tflm"):
        return anchor(core, kernels)
    return from_calibration(own, device.id)


def from_calibration(own: Calibration, device: str) -> Anchor:
    """The factor that a calibration of this device holds."""
    return Anchor(
        own.cpi,
        own.instructions_per_operator,
        {device: own.clock_hz},
        own.band,
        own.band_elsewhere,
        own.rows,
        own.models,
        own.error_median,
        own.source,
        "",
        own.factors,
        calibrated=True,
    )


def anchor(core: str, kernels: str) -> Anchor | str:
    """The factor for this core id and kernel set, or the reason why there is none."""
    data = toml("kernels/cycles.toml") or {}
    for entry in data.get("anchors", ()):
        if (entry["core"], entry["kernels"]) == (core, kernels):
            return Anchor(
                entry["cpi"],
                entry["instructions_per_operator"],
                dict(entry["boards"]),
                entry["band"],
                entry["band_elsewhere"],
                entry["rows"],
                entry["models"],
                entry["error_median"],
                entry["source"],
                entry["note"],
            )
    return _REASONS.get((core, kernels), f"no published latency of {kernels} kernels on {core}")
