"""The options that commands share, and what they mean."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeVar

from mcuprof.budgets import Limits
from mcuprof.budgets.amounts import BudgetSpec, Ratchet
from mcuprof.budgets.config_files import Spot
from mcuprof.budgets.policy import ignorable
from mcuprof.errors import UsageError
from mcuprof.limits import DEFAULT, NAMES, ReadLimits, limits_of, parse_limit
from mcuprof.report import FORMATS
from mcuprof.units import parse_clock_hz, parse_size, parse_time_ms

if TYPE_CHECKING:
    from mcuprof.budgets.config import FailOn

ORDERS = ("as-is", "optimal")
IN_PLACE = ("none", "alias", "elementwise", "depthwise", "overlap")
IO = ("in-arena", "outside")
DEFAULT_RUNTIME = "tflm"
TIME_LIMIT = "clock time for the search, whose result then depends on the machine (default: a fixed effort, about 10s)"
MAX_DIMENSION = 2**31 - 1
_T = TypeVar("_T")


class Parser(argparse.ArgumentParser):
    """argparse whose errors are UsageErrors: one line, exit code 2, told by `main` like all others."""

    def __init__(self, command: str, description: str) -> None:
        super().__init__(prog=f"mcuprof {command}", description=description, allow_abbrev=False)
        self.add_argument("--debug", action="store_true", help="show a traceback after an error")

    def error(self, message: str) -> NoReturn:
        """Raise UsageError with argparse's own words."""
        raise UsageError(f"{message} (see {self.prog} --help)")


@dataclass(frozen=True, slots=True)
class Request:
    """What to analyse and against what: every model for every device. A device of None means none was named.

    What follows `limits` comes from a config: the target's name, its line, its budget and its ratchet.
    """

    models: tuple[str, ...]
    devices: tuple[str | None, ...]
    clock_hz: int | None
    runtime: str
    kernels: str | None
    order: str
    in_place: str
    input_shapes: Mapping[str, tuple[int, ...]]
    limits: Limits
    reading: ReadLimits = DEFAULT
    ignore: frozenset[str] = frozenset()
    fail_on: FailOn = "error"
    reserve: Mapping[str, int] = field(default_factory=dict)
    arena_regions: tuple[str, ...] = ()
    time_limit: float | None = None
    io: str = IO[0]
    exit_rates: tuple[float, ...] = ()
    target: str | None = None
    spot: Spot | None = None
    budget: BudgetSpec = field(default_factory=BudgetSpec)
    ratchet: Ratchet = field(default_factory=Ratchet)
    baseline: Path | None = None


def add_output_options(parser: argparse.ArgumentParser) -> None:
    """-f, -o and --color."""
    group = parser.add_argument_group("output")
    group.add_argument("-f", "--format", choices=tuple(FORMATS), default="text", help="default: text")
    group.add_argument("-o", "--output", metavar="FILE", help="write to FILE instead of standard output")
    group.add_argument("--color", choices=("auto", "always", "never"), default="auto", help="default: auto")


def add_verbosity_options(parser: argparse.ArgumentParser) -> None:
    """-q and -v."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument("-q", "--quiet", action="store_true", help="text: print only what does not fit")
    group.add_argument("-v", "--verbose", action="store_true", help="say on stderr what is being done")


def add_analysis_options(parser: argparse.ArgumentParser) -> None:
    """Which device, which runtime, which memory plan, which budgets."""
    target = parser.add_argument_group("target")
    target.add_argument("-d", "--device", action="append", default=[], metavar="DEVICE", help="see mcuprof devices")
    target.add_argument("--clock", type=as_type(parse_clock_hz), metavar="HZ", help="such as 80MHz")
    target.add_argument("--runtime", help=f"default: {DEFAULT_RUNTIME}")
    target.add_argument("--kernels", help="kernel library (default: what the device's vendor ships)")
    plan = parser.add_argument_group("memory plan")
    plan.add_argument("--order", choices=ORDERS, help="operator order (default: as-is)")
    plan.add_argument("--in-place", choices=IN_PLACE, help="what may share bytes (default: none)")
    plan.add_argument("--time-limit", type=as_type(parse_seconds), metavar="TIME", help=TIME_LIMIT)
    plan.add_argument(
        "--arena-regions",
        type=as_type(parse_regions),
        default=(),
        metavar="NAME[,NAME]",
        help="RAM regions for the arena, the preferred one first (default: where it has most room)",
    )
    add_input_shape_option(plan)
    add_limit_option(plan)
    budgets = parser.add_argument_group("budgets (K and M are powers of 1024)")
    budgets.add_argument("--ram", type=as_type(parse_size), metavar="SIZE", help="instead of the device's RAM")
    budgets.add_argument("--flash", type=as_type(parse_size), metavar="SIZE", help="instead of the device's flash")
    budgets.add_argument("--latency", type=as_type(parse_time_ms), metavar="TIME", help="such as 50ms")
    budgets.add_argument("--reserve-ram", type=as_type(parse_size), metavar="SIZE", help="RAM the firmware keeps")


def add_input_shape_option(group: argparse._ActionsContainer) -> None:
    """--input-shape, once per input."""
    group.add_argument(
        "--input-shape",
        action="append",
        default=[],
        type=as_type(parse_input_shape),
        metavar="NAME:1x96x96x3",
        help="shape of an input that the model leaves open",
    )


def add_limit_option(group: argparse._ActionsContainer) -> None:
    """--limit, once per limit."""
    group.add_argument(
        "--limit",
        action="append",
        default=[],
        type=as_type(parse_limit),
        metavar="NAME=VALUE",
        help=f"read larger models than usual: {', '.join(NAMES)}",
    )


def reading_limits(options: argparse.Namespace) -> ReadLimits:
    """What --limit makes of the limits."""
    return limits_of(dict(options.limit))


def add_config_options(parser: argparse.ArgumentParser) -> None:
    """--config and --isolated."""
    config = parser.add_argument_group("config").add_mutually_exclusive_group()
    config.add_argument("--config", metavar="FILE", help="instead of the nearest mcuprof.toml or pyproject.toml")
    config.add_argument("--isolated", action="store_true", help="use no config")


def add_policy_options(parser: argparse.ArgumentParser) -> None:
    """--ignore, --fail-on and --no-cache."""
    group = parser.add_argument_group("findings")
    group.add_argument(
        "--ignore",
        action="extend",
        default=[],
        type=as_type(parse_codes),
        metavar="CODE[,CODE]",
        help="pass over these findings (not over M101, F201, L301, V602)",
    )
    group.add_argument("--fail-on", choices=("error", "warning", "note"), help="least severity for exit code 1")
    group.add_argument("--no-cache", action="store_true", help="neither read nor write stored results")


def parse_seconds(text: str) -> float:
    """Seconds in `text`: `10s`, `500ms`. Raises UsageError on anything else."""
    return parse_time_ms(text) / 1000


def parse_regions(text: str) -> tuple[str, ...]:
    """The names of `DTCM,AXISRAM`. Raises UsageError when one is empty or comes twice."""
    names = tuple(name.strip() for name in text.split(","))
    if not all(names) or len({name.lower() for name in names}) < len(names):
        raise UsageError(f"not a list of regions: {text!r} (write NAME,NAME, each once)")
    return names


def parse_rates(text: str) -> tuple[float, ...]:
    """The numbers of `0.6,0.3,0.1`. Raises UsageError when one is no number."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"not a list of rates: {text!r} (write 0.6,0.3,0.1)") from None


def parse_codes(text: str) -> list[str]:
    """The codes of `M105,M106`. Raises UsageError when one does not exist or cannot be ignored."""
    return [ignorable(code) for code in text.split(",")]


def request_of(options: argparse.Namespace, models: list[str]) -> Request:
    """The request that the parsed options of `add_analysis_options` make. Raises UsageError where they contradict."""
    shapes = dict(options.input_shape)
    if len(shapes) < len(options.input_shape):
        raise UsageError("--input-shape names the same input twice")
    if options.clock is not None and not options.device:
        raise UsageError("--clock needs a device: add -d DEVICE")
    return Request(
        models=tuple(models),
        devices=tuple(dict.fromkeys(options.device)) or (None,),
        clock_hz=options.clock,
        runtime=options.runtime or DEFAULT_RUNTIME,
        kernels=options.kernels,
        order=options.order or ORDERS[0],
        in_place=options.in_place or IN_PLACE[0],
        input_shapes=shapes,
        reading=reading_limits(options),
        limits=Limits(options.ram, options.flash, options.latency, options.reserve_ram),
        ignore=frozenset(getattr(options, "ignore", ())),
        fail_on=getattr(options, "fail_on", None) or "error",
        arena_regions=getattr(options, "arena_regions", ()),
        time_limit=getattr(options, "time_limit", None),
        io=getattr(options, "io", IO[0]),
        exit_rates=getattr(options, "exit_rates", ()),
    )


def parse_input_shape(text: str) -> tuple[str, tuple[int, ...]]:
    """Name and dimensions of `name:1x96x96x3`; the name may contain colons. Raises UsageError on anything else."""
    name, _, shape = text.rpartition(":")
    sizes = shape.split("x")
    if not name or not all(size.isascii() and size.isdigit() and len(size) <= 10 for size in sizes):
        raise UsageError(f"not an input shape: {text!r} (write NAME:1x96x96x3)")
    dimensions = tuple(map(int, sizes))
    if not all(1 <= dimension <= MAX_DIMENSION for dimension in dimensions):
        raise UsageError(f"not an input shape: {text!r} (dimensions go from 1 to {MAX_DIMENSION})")
    return name, dimensions


def as_type(parse: Callable[[str], _T]) -> Callable[[str], _T]:
    """`parse` for argparse, which then puts the option's name before the message."""

    def parsed(text: str) -> _T:
        try:
            return parse(text)
        except UsageError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parsed
