"""`python -m fuzz [--format F] [--count N] [--seed S] [--first I] [--replay]`: a campaign, or one of its inputs."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

# Before anything imports NumPy: BLAS threads would take address space of their own.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def main() -> int:
    """Run a campaign, or one of its inputs; exit code 1 when a promise was broken."""
    from fuzz.seeds import FORMATS

    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("--format", choices=FORMATS, action="append", help="default: both, one after the other")
    parser.add_argument("--count", type=int, default=2_000, help="inputs per format (default: 2,000)")
    parser.add_argument("--seed", type=int, default=1, help="the campaign (default: 1)")
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--folder", type=Path, default=Path("fuzz/found"), help="where defects go")
    parser.add_argument("--replay", action="store_true", help="only input --first, with whatever it prints")
    parser.add_argument("--coverage", action="store_true", help="guided by coverage (atheris)")
    options = parser.parse_args()
    forms = options.format or list(FORMATS)
    if options.replay:
        return _replay(forms[0], options.seed, options.first)
    if options.coverage:
        return max([_guided(form, options) for form in forms])
    return max(_campaign(form, options) for form in forms)


def _campaign(form: str, options: argparse.Namespace) -> int:
    from fuzz import campaign

    began = time.monotonic()
    tally = campaign.run(form, options.seed, options.first, options.count, options.folder)
    used = os.times()
    spent = used.user + used.system + used.children_user + used.children_system
    sys.stdout.write(
        f"{form}: {tally['inputs']:,} inputs (seed {options.seed}), {tally['defects']:,} defects, "
        f"{time.monotonic() - began:.0f} s, {spent:.0f} s CPU\n"
    )
    for kind in sorted(set(tally) - {"inputs", "defects"}):
        sys.stdout.write(f"  {kind}: {tally[kind]:,}\n")
    return 1 if tally["defects"] else 0


def _guided(form: str, options: argparse.Namespace) -> int:
    """In a process of its own, since atheris ends the one that it runs in."""
    from fuzz import coverage

    if not coverage.available():
        sys.stdout.write("not guided by coverage: atheris is not installed (pip install 'mcuprof[fuzz]')\n")
        return 0
    child = os.fork()
    if child == 0:
        options.folder.mkdir(parents=True, exist_ok=True)
        coverage.run(form, options.seed, options.count, options.folder)
    return 1 if os.waitpid(child, 0)[1] else 0


def _replay(form: str, seed: int, number: int) -> int:
    from fuzz import campaign
    from mcuprof.cli import main as command_line

    data, command = campaign.make(form, seed, number)
    path = Path(f"fuzz-{form}-{seed}-{number}.{form}")
    path.write_bytes(data)
    sys.stdout.write(f"{path}: {' '.join(command)}\n")
    return command_line([command[0], str(path), *command[1:], "--debug"])


if __name__ == "__main__":
    sys.exit(main())
