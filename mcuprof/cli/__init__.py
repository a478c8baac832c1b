"""The command line. Each command is a module that is imported only when it is called; here are their names.

`main` turns every way of failing into one line on stderr and an exit code: 0 fits, 1 a budget failed, 2 usage, 3 model
unreadable, 4 internal error, 130 interrupted (Ctrl-C), 143 terminated.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Protocol, cast

from mcuprof.errors import EXIT_FITS, EXIT_INTERNAL, EXIT_MODEL, EXIT_USAGE, McuprofError, UsageError

COMMANDS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "check": ("mcuprof.cli.check", "does it fit? verdict first, in a few lines"),
        "analyze": ("mcuprof.cli.analyze", "everything: memory timeline, strategies, cost per layer, flash bill"),
        "plan": ("mcuprof.cli.plan", "a better memory plan, written into the model for the stock runtime"),
        "ops": ("mcuprof.cli.ops", "operators, versions, support, and the resolver in C++"),
        "verify": ("mcuprof.cli.verify", "integer kernels inside the planned arena, compared with other runtimes"),
        "diff": ("mcuprof.cli.diff", "what changed between two models, increases first"),
        "baseline": ("mcuprof.cli.baseline", "record what models take, and fail when they grow"),
        "init": ("mcuprof.cli.init", "write a config for the models found here, and the pre-commit hook"),
        "fit": ("mcuprof.cli.fit", "on which devices it fits, smallest first, and what the others lack"),
        "sweep": ("mcuprof.cli.sweep", "a table of many models on many devices, on all cores or a Dask cluster"),
        "devices": ("mcuprof.cli.devices", "list, show or validate the device database; import a device"),
        "calibrate": ("mcuprof.cli.calibrate", "refit a device's latency from your own measurements"),
        "report": ("mcuprof.cli.report", "render a stored result again, or print its JSON Schema"),
        "explain": ("mcuprof.cli.explain", "what a finding's code means and what to do about it"),
    }
)

EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells count
EXIT_TERMINATED = 143  # 128 + SIGTERM


class Command(Protocol):
    """What a module in `COMMANDS` provides."""

    def run(self, arguments: list[str]) -> int:
        """Do what the arguments (without the command's name) say; the exit code."""


def main(argv: list[str] | None = None) -> int:
    """Run `mcuprof` with `argv` (default: the process's arguments) and return the exit code. Never raises."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    if argv is None:  # a process of our own, in which nothing has imported NumPy yet
        # Products here are small: BLAS threads gain little, and where others work too they burn it waiting.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from mcuprof.cli.interrupts import Terminated, terminable

    try:
        with terminable():
            return _guarded(arguments)
    except (Exception, KeyboardInterrupt, Terminated) as error:
        # What is interrupted may fail in its own `finally`, as argparse does.
        causes = list(_chain(error))
        if any(isinstance(cause, KeyboardInterrupt) for cause in causes):
            message, code = "interrupted", EXIT_INTERRUPTED
        elif any(isinstance(cause, Terminated) for cause in causes):
            message, code = "terminated", EXIT_TERMINATED
        elif isinstance(error, McuprofError):
            message, code = str(error), error.exit_code
        elif isinstance(error, MemoryError):
            message, code = f"the model asks for more memory than there is ({error})", EXIT_MODEL
        elif isinstance(error, FileNotFoundError) and not _has_working_directory():
            message, code = "the working directory is not there any more", EXIT_USAGE
        else:
            message = f"internal error: {type(error).__name__}: {error} (--debug shows where)"
            code = EXIT_INTERNAL
        _complain(message)
        if "--debug" in arguments:
            import traceback

            traceback.print_exc()
        return code


def _has_working_directory() -> bool:
    try:
        return Path.cwd().is_dir()
    except FileNotFoundError:
        return False


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _guarded(arguments: list[str]) -> int:
    from mcuprof.cli.output import flush

    try:
        code = _dispatch(arguments)
    except SystemExit as stop:  # argparse, after --help
        code = stop.code if isinstance(stop.code, int) else EXIT_USAGE
    flush()
    return code


def _dispatch(arguments: list[str]) -> int:
    from mcuprof import __version__
    from mcuprof.cli.late import postpone
    from mcuprof.cli.output import write

    name = arguments[0] if arguments else ""
    if name in COMMANDS:
        postpone("numpy")
        return cast(Command, import_module(COMMANDS[name][0])).run(arguments[1:])
    if name in ("--version", "-V"):
        write(f"mcuprof {__version__}\n")
        return EXIT_FITS
    if name in ("--help", "-h", "help"):
        write(_help())
        return EXIT_FITS
    if not name:
        sys.stderr.write(_help())
        return EXIT_USAGE
    raise UsageError(_unknown(name))


def _help() -> str:
    width = max(map(len, COMMANDS))
    commands = "".join(f"  {name:<{width}}  {words}\n" for name, (_, words) in COMMANDS.items())
    return (
        "Will this quantized network run on that microcontroller, in how much memory and how fast?\n\n"
        "usage: mcuprof COMMAND [OPTIONS]\n\n"
        f"{commands}\n"
        "mcuprof COMMAND --help shows a command's options.\n\n"
        "exit codes: 0 fits, 1 a budget or capacity failed, 2 usage or configuration error,\n"
        "            3 model unreadable or unsupported, 4 internal error\n"
    )


def _unknown(name: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, COMMANDS, 1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(COMMANDS)}"
    return f"unknown command {name!r}; {hint}"


def _complain(message: str) -> None:
    from mcuprof.cli.output import complain

    complain(message)
