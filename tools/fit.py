"""Refits everything in `device_db/` that is learned from measurements, and writes `device_db/VALIDATION.md`.

    python tools/fit.py          (needs the tables in ../shared, or in the directory that MCUPROF_SHARED names)

Deterministic: the same tables give the same bytes.
"""

from __future__ import annotations

import fit_cycles
import fit_kernels
import footprint
from tables import ROOT

from mcuprof.hardware.index import write as write_index

_TEXT = """\
# How far the estimates are off

Written by `tools/fit.py`. Every error here is of a model that the fit had not seen: leave-one-model-out, and models
whose weighted layers are nearly the same (person detection and its copies, …) leave together. Which features a law
uses was chosen once, on all models.

## Instructions of one inference

Against whole TFLM models executed on emulated cores (`tflm_totals_cortexm.csv`). A model is not covered when it has a
kernel class that no other group of models has. No whole model was executed with CMSIS-NN on Cortex-M0+ and Cortex-M3,
or with reference kernels on Cortex-M3: their laws come from kernels counted alone, or from the Cortex-M4, and the
error is that of the same method on the Cortex-M4, where it can be judged.

{instructions}

Not covered: {uncovered}

## Cycles and milliseconds

cycles = cpi · (instructions + e · operators), against published latencies (`measurements/cpu_latency.csv`). Error is
measured / predicted or its inverse, minus one. The band is made for 90 % of rows.

{cycles}

The Cortex-M7 rows state no clock; the part's maximum is assumed. Cortex-M7 with reference kernels has published rows,
but at 2.5 to 2.8 cycles per instruction where CMSIS-NN has 0.97: a build with assertions, as in no release. Cortex-M0+,
M3 and M55 have no published CMSIS-NN latency, and no Cortex-M has one for release-built reference kernels: no cycles
there.
"""


def main() -> None:
    """Refit and write."""
    checks = fit_kernels.main()
    footprint.main()
    cycles = fit_cycles.main()
    uncovered = sorted({name for check in checks.values() for name in check.uncovered})
    text = _TEXT.format(instructions=fit_kernels.summary(checks), uncovered=", ".join(uncovered), cycles=cycles)
    (ROOT / "device_db" / "VALIDATION.md").write_text(text, encoding="utf-8")
    write_index(ROOT / "device_db")
    print(text)


if __name__ == "__main__":
    main()
