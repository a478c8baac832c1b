"""Coverage-guided fuzzing with atheris: what reaches new code is kept and changed again. `python -m fuzz --coverage`.

The same mutators and the same promise as a campaign; atheris chooses which earlier input to mutate. Every tenth input
is mutated byte by byte instead, as libFuzzer does. A defect ends the process and leaves its file in the folder.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from random import Random

from fuzz import target
from fuzz.campaign import MUTATORS, memory_folder
from fuzz.seeds import seeds

_MOST_BYTES = 16 * 1024  # an input's structure is listed before every mutation: what is longer takes longer
_COMMAND = ("check", "-d", "nucleo-l4r5zi", "--no-cache")
_DEEP = ("analyze", "-d", "nucleo-l4r5zi", "--no-cache", "--time-limit", "1s", "-f", "json")
_INSTRUMENTED = ("readers", "graph", "ops", "runtimes", "analysis", "memory", "cost", "costs", "cli", "budgets")


class Broken(Exception):
    """An input broke the promise."""


def available() -> bool:
    """Whether atheris is installed (the extra `fuzz`; it has wheels for Linux on x86-64 and some Pythons only)."""
    from importlib.util import find_spec

    return find_spec("atheris") is not None


def run(form: str, seed: int, count: int, folder: Path) -> None:
    """Executes `count` inputs of one format, starting from the samples. Does not return: atheris ends the process."""
    import atheris

    with atheris.instrument_imports(include=["mcuprof"]):
        _import_rooms()
    target.limit_memory()
    place = Path(tempfile.mkdtemp(dir=memory_folder()))
    corpus = folder / f"corpus-{form}"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(data for data in seeds(form) if len(data) <= _MOST_BYTES):
        (corpus / f"seed-{number}").write_bytes(data)
    path = place / f"model.{form}"
    tried = 0

    def one(data: bytes) -> None:
        nonlocal tried
        tried += 1
        outcome = target.run(data, path, _DEEP if tried % 16 == 0 else _COMMAND)
        if outcome.defect is not None:
            raise Broken(outcome.defect)

    atheris.Setup(
        [
            sys.argv[0],
            str(corpus),
            f"-runs={count}",
            f"-seed={seed}",
            f"-max_len={_MOST_BYTES}",
            f"-artifact_prefix={folder}/{form}-",
            "-timeout=60",
            "-rss_limit_mb=2048",
            "-print_final_stats=1",
        ],
        one,
        custom_mutator=lambda data, size, number: _mutated(form, data, size, number),
    )
    atheris.Fuzz()


def _import_rooms() -> None:
    """Everything that reads and judges: only what is imported under instrumentation tells of its coverage."""
    import pkgutil
    from importlib import import_module

    import mcuprof

    for module in pkgutil.walk_packages(mcuprof.__path__, "mcuprof."):
        if module.name.split(".")[1] in _INSTRUMENTED:
            import_module(module.name)


def _mutated(form: str, data: bytes, size: int, number: int) -> bytes:
    """The campaign's mutator where the input still has the structure that it needs, else libFuzzer's."""
    import atheris

    random = Random(number)
    if random.random() < 0.9:
        try:
            return MUTATORS[form](data, random)[:size]
        except Exception:  # what was mutated before is no longer a file of this format
            pass
    return bytes(atheris.Mutate(data, size))
