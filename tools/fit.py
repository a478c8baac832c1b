"""Refits everything in `device_db/` that is learned from measurements, and writes `device_db/VALIDATION.md`.

    python tools/fit.py          (needs the tables in ../shared, or in the directory that MCUPROF_SHARED names)

Deterministic: the same tables give the same bytes.
"""

from __future__ import annotations

import fit_cycles
import fit_energy
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

Target: worst at most 10 %. Kernels counted alone miss it by a little. Streaming keyword models were off by up to 16 %:
their 1x1 convolutions have one output pixel, layers counted alone have nine and more, and the law for the Cortex-M4 had
put noise into a cost per output channel that is most of such a layer. A list of features without constants, chosen by
held-out error on the kernels alone, took the worst to 10.4 % and the 90th percentile from 10.4 % to 6.4 %. That is the
method as judged on the Cortex-M4: the laws of Cortex-M0+ and M3 themselves had no such cost and stay as they were.

Not covered: {uncovered}

## Cycles and milliseconds

cycles = board · cpi · (Σ share · instructions + per operator + per inference + per byte of weights), fitted on all
published latencies together (`tools/rates.py`), against `measurements/cpu_latency.csv`. Error is measured / predicted
or its inverse, minus one, of networks that the fit had not seen. "Board out" is the median error on a board whose
rows the fit had not seen, where the pair has others. The band is made for 90 % of rows from held-out errors; "inside"
is how often a band made without a network held it. The spreads of the priors were chosen once, on all rows.

{cycles}

{totals}

Targets: median at most 8 %, 90 % of rows within 20 %, boards at most 15 %, bands that hold 90 %. The first two are
missed over all pairs. Cause: most pairs were measured on the four MLPerf Tiny networks only. Leaving one out
extrapolates from three, and the autoencoder is the only one made of fully connected layers. Tried: one fit per family
(median 13 %), all families together (10.4 %), a cost per byte of weights that belongs to the core and not the runtime
(9 %, and the 90th percentile from 105 % to 42 %), other spreads (8.6 to 10.9 %).

Not used: TinyMaix (held-out errors of a factor of two: boards of one core differ as much, with settings that are not
printed), Renesas eAI (factors up to seven), rows with weights or activations in external memory (STM32H747, SDRAM:
from no slowdown to three times), ESP-NN's README figures without ESP-NN (another source measured the same network on
ESP32 seven times faster), networks from which the runtime dropped dead channels (VWW with X-CUBE-AI 8.1 and later and
Plumerai 2023.05), keyword rows that include feature extraction (MLPerf Tiny v1.3 sww). No published latency: CMSIS-NN
on Cortex-M0+, M3 and M55, reference kernels on Cortex-M0+, M3, M4, M33, M55 and M85, ESP-NN on ESP32-C3.

## Energy

energy = time · power, for boards of which MLPerf Tiny publishes energy (`measurements/energy.csv`): one power per
board, runtime, clock and supply, the geometric mean over its rows. Held out is one network at a time. Its band is the
90 % rank of all held-out errors, or the worst of its own where that is larger; a report multiplies it with the band of
the latency. Rows at different supplies are not put together. Not used: streaming wake words (idle time included),
FPGAs, boards with an NPU. On any other board, runtime or clock: no data.

{energy}

{energies}
"""


def main() -> None:
    """Refit and write."""
    checks = fit_kernels.main()
    footprint.main()
    cycles, totals = fit_cycles.main()
    energy, energies = fit_energy.main()
    uncovered = sorted({name for check in checks.values() for name in check.uncovered})
    tables = {"instructions": fit_kernels.summary(checks), "cycles": cycles, "totals": totals}
    tables |= {"energy": energy, "energies": energies}
    text = _TEXT.format(**tables, uncovered=", ".join(uncovered))
    (ROOT / "device_db" / "VALIDATION.md").write_text(text, encoding="utf-8")
    write_index(ROOT / "device_db")
    print(text)


if __name__ == "__main__":
    main()
