"""`mcuprof init`: a config to start from, and the hook that uses it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from mcuprof.budgets.config_files import NAMES, discover, shown
from mcuprof.budgets.config_schema import config_schema
from mcuprof.cli import output
from mcuprof.cli.options import Parser
from mcuprof.errors import EXIT_FITS, UsageError

_DESCRIPTION = (
    "Write mcuprof.toml for the models found in FOLDER, commented; --pre-commit also writes the hook, --schema prints "
    "the JSON Schema of the config for editors. No file is ever overwritten."
)
_SUFFIXES = (".tflite", ".onnx")
_SKIPPED = frozenset({"node_modules", "build", "dist", "venv", "__pycache__"})
_HOOKS = ".pre-commit-config.yaml"
_REPOSITORY = "https://github.com/OWNER/mcuprof  # where your mcuprof comes from"


def run(arguments: list[str]) -> int:
    """Write the config (and the hook), or print them."""
    parser = Parser("init", _DESCRIPTION)
    parser.add_argument("folder", nargs="?", default=".", metavar="FOLDER", help="default: the working directory")
    parser.add_argument("-d", "--device", metavar="DEVICE", help="the device that the models are for")
    parser.add_argument("--pre-commit", action="store_true", help=f"also write {_HOOKS}, or say what to add to it")
    parser.add_argument("--dry-run", action="store_true", help="print instead of writing")
    parser.add_argument("--schema", action="store_true", help="print the config's JSON Schema and do nothing else")
    options = parser.parse_args(arguments)
    if options.schema:
        output.write(json.dumps(config_schema(), indent=2, sort_keys=True) + "\n")
        return EXIT_FITS
    folder = Path(options.folder)
    if not folder.is_dir():
        raise UsageError(f"not a folder: {options.folder}")
    if options.device is not None:
        from mcuprof.hardware import load_device

        load_device(options.device)
    text = _config(options.device, list(_models(folder)))
    if options.dry_run:
        output.write(text)
    else:
        _write_config(folder, text)
    if options.pre_commit:
        _hook(folder / _HOOKS, options.dry_run)
    elif not options.dry_run:
        output.tell("mcuprof init --pre-commit also sets up the hook")
    return EXIT_FITS


def _write_config(folder: Path, text: str) -> None:
    there = discover(folder)
    if there is not None and there.parent == folder.absolute():
        raise UsageError(
            f"{shown(there)} is there already and was not changed (--dry-run prints what init would write)"
        )
    target = folder / NAMES[0]
    output.write_new(str(target), text)
    output.write(f"wrote {output.own_page().clean(shown(target))}\n")


def _models(folder: Path) -> Iterator[str]:
    """The models under `folder`, as paths relative to it with forward slashes, sorted; hidden folders are left out."""
    found = []
    for root, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") and name not in _SKIPPED]
        found += [Path(root, name).relative_to(folder).as_posix() for name in files if name.lower().endswith(_SUFFIXES)]
    yield from sorted(found)


def _globs(models: list[str]) -> Iterator[tuple[str, list[str]]]:
    """A glob per folder and suffix, and the models that it matches."""
    groups: dict[str, list[str]] = {}
    for model in models:
        path = Path(model)
        parent = "" if path.parent == Path() else f"{_literal(path.parent.as_posix())}/"
        groups.setdefault(f"{parent}*{path.suffix}", []).append(model)
    yield from sorted(groups.items())


def _literal(text: str) -> str:
    return "".join(f"[{sign}]" if sign in "*?[" else sign for sign in text)


def _config(device: str | None, models: list[str]) -> str:
    # Some device that exists would make `check` say FITS of a board that nobody has.
    named = json.dumps(device) if device else '"change-me"          # mcuprof devices list'
    parts = [_HEAD.replace("@DEVICE@", named)]
    for glob, matched in _globs(models):
        listed = "".join(f"# {_comment(model)}\n" for model in matched[:10])
        more = f"# and {len(matched) - 10} more\n" if len(matched) > 10 else ""
        parts.append(f"{listed}{more}[[models]]\npath = {_quoted(glob)}\n")
    if not models:
        parts.append('# No .tflite or .onnx file was found here.\n[[models]]\npath = "models/*.tflite"\n')
    parts.append(_TAIL)
    return "\n".join(parts)


def _quoted(text: str) -> str:
    """A TOML string. JSON's escapes are TOML's, but for DEL, which TOML wants escaped too."""
    return json.dumps(text.encode("utf-8", "replace").decode(), ensure_ascii=False).replace("\x7f", "\\u007f")


def _comment(text: str) -> str:
    return _quoted(text)[1:-1]


def _hook(path: Path, dry_run: bool) -> None:
    if path.exists() or dry_run:
        output.write(f"add to {output.own_page().clean(shown(path))} under repos:\n\n{_HOOK}")
        return
    output.write_new(str(path), "repos:\n" + _HOOK)
    output.write(f"wrote {output.own_page().clean(shown(path))}; now run: pre-commit install\n")


_HEAD = """\
# What mcuprof judges in this project: `mcuprof check` reads it. Every key: `mcuprof init --schema`.

[defaults]
# Record what the models take with `mcuprof baseline update`; then growth fails until it is accepted there.
# baseline = ".mcuprof-baseline.json"
# ignore = ["M105"]           # findings to pass over; `mcuprof explain` lists them
# fail_on = "error"           # or "warning"

[targets.board]
device = @DEVICE@
# clock = "80MHz"             # default: the fastest the device can
# kernels = "cmsis-nn"        # default: what the device's vendor ships
# reserve = "48K"             # RAM that the firmware keeps, or per region: { SRAM1 = "16K" }
# placement = { arena = ["SRAM1"] }   # where the arena may lie, in order of preference

# Limits on top of having to fit the device: absolute, or a part of what the device has.
[targets.board.budget]
ram = "80%"                   # arena and stack
flash = "80%"                 # model, runtime and kernels
# latency = "50ms"            # held against the upper end of the band; latency_bound = "nominal" for its middle

# Growth over the baseline fails when it exceeds both.
# [targets.board.ratchet]
# ram = { max_increase = "2%", min_bytes = "1K" }
# flash = { max_increase = "2%", min_bytes = "1K" }
# latency = { max_increase = "5%", min_time = "1ms" }
"""

_TAIL = """\
# targets = ["board"]         # default: all targets
# input_shapes = { image = [1, 96, 96, 3] }   # for models that leave a shape open
# budget = { ram = "64K" }    # wins over the target's
"""

_HOOK = f"""\
  - repo: {_REPOSITORY}
    rev: main  # pin a release: pre-commit autoupdate
    hooks:
      - id: mcuprof-check
      - id: mcuprof-check-all
"""
