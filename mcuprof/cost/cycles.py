"""From instructions to cycles: one factor per core and kernel set, fitted on published latencies.

The band. `device_db/kernels/cycles.toml` holds a factor `band` such that the measured time of a network that the fit
had not seen lies within [estimate / band, estimate · band] in 90 % of cases (rank of held-out errors; with fewer than
nine of them, the worst times 1.5). It holds for the measured board at the measured clock. Any other board of that core
has other flash wait states and caches: its band is widened by the error of predicting one measured board from another.

Where no board with that core and kernel set was measured there is no factor, and no cycles.
"""

from __future__ import annotations

from dataclasses import dataclass

from mcuprof.cost.data import toml

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
    """`cpi` cycles per instruction, for `instructions + per_operator · operators`; `bands` as in the module's text."""

    cpi: float
    per_operator: float
    boards: dict[str, int]
    band: float
    band_elsewhere: float
    rows: int
    models: int
    median: float
    source: str
    note: str

    def band_for(self, device: str, clock_hz: int | None) -> float:
        """The band's factor on this device at this clock."""
        return self.band if self.boards.get(device) == clock_hz else self.band_elsewhere

    def cycles(self, instructions: int, operators: int = 1) -> int:
        """Estimated cycles of so many instructions in so many operators."""
        return round(self.cpi * (instructions + self.per_operator * operators))

    def basis(self, device: str, clock_hz: int | None) -> str:
        """One sentence: where the factor comes from and how sure it is here."""
        where = ", ".join(sorted(self.boards))
        here = "" if self.boards.get(device) == clock_hz else ", not this board and clock: wider band"
        return (
            f"modelled: {self.cpi:.3g} cycles per instruction from {self.rows} published latencies on {where}{here} "
            f"({self.source}; {self.note}), median error {self.median:.0%} on unseen models"
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
