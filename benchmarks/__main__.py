"""`python -m benchmarks [NAME…]`: runs the benchmarks and writes their tables to `benchmarks/results/`."""

from __future__ import annotations

import sys

from benchmarks import memory, runner

BENCHMARKS = {"memory": memory.run, "runner": runner.run}

if __name__ == "__main__":
    chosen = sys.argv[1:] or list(BENCHMARKS)
    if unknown := [name for name in chosen if name not in BENCHMARKS]:
        sys.exit(f"no benchmark {unknown[0]!r}: choose from {', '.join(BENCHMARKS)}")
    for name in chosen:
        BENCHMARKS[name]()
