"""`python -m benchmarks [NAME…]`: runs the benchmarks and writes their tables to `benchmarks/results/`."""

from __future__ import annotations

import os
import sys
from importlib import import_module

BENCHMARKS = ("coldstart", "throughput", "growth", "memory", "runner", "dead", "split", "npu", "latency", "many")

if __name__ == "__main__":
    chosen = sys.argv[1:] or list(BENCHMARKS)
    if unknown := [name for name in chosen if name not in BENCHMARKS]:
        sys.exit(f"no benchmark {unknown[0]!r}: choose from {', '.join(BENCHMARKS)}")
    # Before anything imports NumPy: CPU times are compared, and BLAS threads that wait for work burn it.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    for name in chosen:
        import_module(f"benchmarks.{name}").run()
