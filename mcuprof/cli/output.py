"""Where results go: standard output as the terminal can take it, or a file that is never half written."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from mcuprof.document import Report
from mcuprof.errors import UsageError
from mcuprof.report import render
from mcuprof.report.page import Page

Color = Literal["auto", "always", "never"]
MAX_WIDTH = 120


def publish(report: Report, format: str, output: str | None, color: Color, detail: bool = False) -> None:
    """Render `report` for standard output (`output` None or `-`) or into a file (UTF-8, 80 columns).

    The format `github` also adds Markdown to the file that $GITHUB_STEP_SUMMARY names. Raises UsageError when it
    cannot be written; a reader that went away (`| head`) is no error.
    """
    if output is None or output == "-":
        write(
            render(
                report, format, width=terminal_width(), color=wants_color(color), detail=detail, unicode=takes_unicode()
            )
        )
    else:
        write_file(output, render(report, format, color=color == "always", detail=detail))
    if format == "github" and (summary := os.environ.get("GITHUB_STEP_SUMMARY")):
        _append(summary, render(report, "markdown", detail=detail))


def terminal_width() -> int:
    """Columns of the terminal (or of $COLUMNS), at most 120; 80 where there is none."""
    return min(shutil.get_terminal_size((80, 24)).columns, MAX_WIDTH)


def takes_unicode() -> bool:
    """Whether standard output can show the block characters of bars and plots."""
    try:
        "█▓▒░▁…×─▲".encode(sys.stdout.encoding or "ascii")
    except (AttributeError, LookupError, UnicodeEncodeError):
        return False
    return True


def wants_color(color: Color) -> bool:
    """`always` and `never` decide; else, in this order: NO_COLOR, FORCE_COLOR, TERM=dumb, being a terminal."""
    if color != "auto":
        return color == "always"
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR", "0") != "0":
        return True
    return os.environ.get("TERM") != "dumb" and sys.stdout is not None and sys.stdout.isatty()


def own_page() -> Page:
    """The page for text that a command lays out itself."""
    return Page(max(terminal_width(), 40), wants_color("auto"), takes_unicode())


def write(text: str) -> None:
    """`text` to standard output, characters it cannot encode as escapes, lines ended as they are on every system."""
    if sys.stdout is None:
        raise UsageError("cannot write the result: standard output is closed")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(newline="\n")
    encoding = sys.stdout.encoding or "utf-8"
    with _writing():
        sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))


def flush() -> None:
    """Empty the buffer of standard output while its errors can still be told."""
    if sys.stdout is not None:
        with _writing():
            sys.stdout.flush()


@contextlib.contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        _silence_stdout()
    except OSError as error:
        _silence_stdout()
        raise UsageError(f"cannot write to standard output: {_reason(error)}") from None


def _silence_stdout() -> None:
    """Let what is still in the buffer go nowhere, or the interpreter reports the failure once more at exit."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def write_file(name: str, text: str) -> None:
    """`text` into the file `name`: complete under that name or not there. Raises UsageError when it cannot be done."""
    data = text.encode("utf-8", "backslashreplace")
    try:
        target = Path(os.path.realpath(name))
        if target.exists() and not target.is_file():  # a pipe or a device cannot be replaced
            target.write_bytes(data)
            return
        from mcuprof.writers.files import replace

        replace(target, data)
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot write {name}: {_reason(error)}") from None


def write_new(name: str, text: str) -> None:
    """As `write_file`, for a file that must not be there yet. Raises UsageError when it is."""
    if Path(name).exists() or Path(name).is_symlink():
        raise UsageError(f"{name} is there already and was not changed")
    write_file(name, text)


def _append(name: str, text: str) -> None:
    """`text` at the end of a file that other steps write to as well."""
    try:
        with Path(name).open("ab") as file:
            file.write(text.encode("utf-8", "backslashreplace") + b"\n")
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot write the step summary {name}: {_reason(error)}") from None


def complain(message: str) -> None:
    """One line on stderr: `mcuprof: error: …`."""
    tell(f"mcuprof: error: {message}")


def tell(message: str) -> None:
    """One line on stderr, whatever the message contains; nowhere to write it is no error."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(Page(unicode=False).clean(message) + "\n")
        sys.stderr.flush()


def tell_again(message: str, *, last: bool) -> None:
    """`message` over the one before it on stderr, for a terminal; `last` ends the line."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.write("\r" + Page(unicode=False).clean(message) + ("\n" if last else ""))
        sys.stderr.flush()


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error)).lower()
