"""Memory: the map with its orders and strategies, the peak, and what the RAM figure is made of."""

from __future__ import annotations

import msgspec

from mcuprof.document import Memory, Result, Strategy
from mcuprof.report.html.markup import Markup, join, tag
from mcuprof.report.html.memory_map import MemoryMap, gutter, memory_map, operator_ticks, plot
from mcuprof.report.html.parts import Cell, Column, bar, facts, section, table
from mcuprof.units import format_bytes

# Narrower than this an operator's column could not be hit with a finger or a mouse; a long model scrolls instead.
_MIN_COLUMN = 7
_MAX_WIDTH = 6000


def timeline(result: Result, key: str) -> Markup:
    """The memory map and, where the document has them, the strategies to hold against it. `key` makes ids unique."""
    drawn = memory_map(result)
    strategies = _strategies(result.memory)
    if drawn is None:
        return section("Orders and in-place strategies", _switch(result.memory, strategies, None, key))
    note = "What lies where in the arena's planned part. Point at a buffer, or use the arrow keys, to see what it is."
    return section("Memory over time", _map(drawn, key), _switch(result.memory, strategies, drawn, key), note=note)


def composition(result: Result) -> Markup:
    """The peak's tensors and the parts of the RAM figure."""
    return tag("div", _peak(result), _ram(result.memory), class_="columns")


def spread(result: Result) -> Markup:
    """The tensors over the device's regions, where there is a choice."""
    found = result.memory.spread
    if isinstance(found, msgspec.UnsetType):
        return Markup()
    heads = (
        Column("region, preferred first"),
        Column("used", number=True),
        Column("free for tensors", number=True),
        Column("moved per inference", number=True),
    )
    rows = [
        (
            Cell(region.name),
            Cell(f"{region.used_bytes:,}"),
            Cell(f"{region.free_bytes:,}"),
            Cell(f"{region.moved_bytes:,}"),
        )
        for region in found.regions
    ]
    note = (
        f"Order {found.order}, in-place {found.in_place}; runs on {', '.join(found.runs_on) or 'no runtime'}: "
        f"the verdict has the arena in one block.{'' if found.fits else ' The last region is too small.'}"
    )
    return section("Tensors spread over regions", table("Tensors spread over regions", heads, rows), note=note)


def _strategies(memory: Memory) -> tuple[Strategy, ...]:
    return () if isinstance(memory.strategies, msgspec.UnsetType) else memory.strategies


def _map(drawn: MemoryMap, key: str) -> Markup:
    label = (
        f"Memory map: {len(drawn.buffers)} buffers, {drawn.operators} operators, "
        f"peak at operator {drawn.peak}; arrow keys move between buffers"
    )
    least = min(drawn.operators * _MIN_COLUMN, _MAX_WIDTH)
    strategy = tag("line", class_="chosen", x1="0", x2="100%", y1="-1", y2="-1", data_height=drawn.height)
    inner = join(
        tag("svg", plot(drawn), strategy, class_="plot", role="group", aria_label=label),
        tag("svg", operator_ticks(drawn), class_="ticks", aria_hidden="true"),
    )
    # The width that keeps columns apart comes from an empty drawing, since inline styles are forbidden.
    strut = tag("svg", class_="strut", width=least, height=1, aria_hidden="true")
    figure = tag(
        "div",
        tag("svg", gutter(drawn), class_="gutter", aria_hidden="true"),
        tag("div", strut, inner, class_="canvas"),
        class_="map",
        id=f"{key}-map",
    )
    hidden = tag("p", f"{drawn.hidden:,} small or invalid buffers are not drawn.", class_="note")
    return join(figure, _legend(drawn), hidden if drawn.hidden else "")


def _legend(drawn: MemoryMap) -> Markup:
    entries = [("at-peak", "live at the peak"), ("buffer", "other tensors")]
    if any(buffer.tensor.startswith("scratch of operator ") for buffer in drawn.buffers):
        entries.append(("scratch", "scratch"))
    items = [tag("li", tag("i", class_=f"swatch {name}"), label) for name, label in entries]
    bound = drawn.memory.lower_bound_bytes
    if 0 < bound < drawn.height:
        items.append(tag("li", tag("i", class_="swatch bound"), f"lower bound {format_bytes(bound)}"))
    return tag("ul", *items, class_="legend")


def _switch(memory: Memory, strategies: tuple[Strategy, ...], drawn: MemoryMap | None, key: str) -> Markup:
    """One row a strategy with a radio button; choosing one draws its head as a line across the map."""
    if not strategies:
        return Markup()
    heads = (
        Column("order"),
        Column("in-place"),
        Column("head", number=True),
        Column("against the shown plan"),
        Column("lower bound", number=True),
        Column("proof"),
        Column("runs on"),
    )
    whole = max(memory.head_bytes, 1, *(strategy.head_bytes for strategy in strategies))
    rows = [_strategy_row(memory, strategy, whole, f"{key}-s{index}", key) for index, strategy in enumerate(strategies)]
    said = tag("output", "", class_="said", aria_live="polite")
    hint = "Choose one to see where its arena would end." if drawn else ""
    return tag(
        "fieldset",
        tag("legend", "Orders and in-place strategies"),
        tag("p", hint, class_="note") if hint else "",
        table("Orders and in-place strategies", heads, rows, class_="strategies"),
        said,
        class_="switch",
        data_map=f"{key}-map",
    )


def _strategy_row(memory: Memory, strategy: Strategy, whole: int, identity: str, key: str) -> tuple[Cell, ...]:
    shown = (strategy.order, strategy.in_place) == (memory.order, memory.in_place)
    runs_on = ", ".join(strategy.runs_on) or "no runtime"
    words = (
        f"Order {strategy.order}, in-place {strategy.in_place}: head {format_bytes(strategy.head_bytes)}, "
        f"{_saving(memory, strategy)}. Proof: {strategy.certificate}. Runs on {runs_on}."
    )
    choice = tag(
        "input",
        type="radio",
        name=f"{key}-strategy",
        id=identity,
        value=strategy.head_bytes,
        data_words=words,
        checked=shown,
    )
    used = "used shown" if shown else "used"
    mark = strategy.lower_bound_bytes if 0 < strategy.lower_bound_bytes <= whole else None
    return (
        Cell(tag("label", choice, " ", strategy.order, for_=identity)),
        Cell(tag("label", strategy.in_place, for_=identity)),
        Cell(f"{strategy.head_bytes:,}"),
        Cell(join(bar((used, strategy.head_bytes), whole=whole, mark=mark), _percent_change(memory, strategy))),
        Cell(f"{strategy.lower_bound_bytes:,}"),
        Cell(strategy.certificate),
        Cell(runs_on),
    )


def _saving(memory: Memory, strategy: Strategy) -> str:
    saved = memory.head_bytes - strategy.head_bytes
    if saved == 0:
        return "the same as the shown plan"
    return f"{format_bytes(abs(saved))} {'less' if saved > 0 else 'more'} than the shown plan"


def _percent_change(memory: Memory, strategy: Strategy) -> str:
    if memory.head_bytes <= 0:
        return ""
    change = 100 * (strategy.head_bytes - memory.head_bytes) / memory.head_bytes
    return f" {change:+.1f} %".replace("-", "\N{MINUS SIGN}") if round(change, 1) else " shown"


def _peak(result: Result) -> Markup:
    peak = result.memory.peak
    if peak is None or not peak.tensors:
        return Markup()
    heads = (Column("tensor"), Column("bytes", number=True), Column("share"))
    rows = [
        (
            Cell(tensor.name),
            Cell(f"{tensor.bytes:,}"),
            Cell(
                join(bar(("used", tensor.bytes), whole=max(peak.live_bytes, 1)), _share(tensor.bytes, peak.live_bytes))
            ),
        )
        for tensor in peak.tensors
    ]
    note = f"Operator {peak.operator_index}, {peak.operator}: {format_bytes(peak.live_bytes)} live."
    return section("Peak", table("Tensors live at the peak", heads, rows), note=note)


def _share(part: int, whole: int) -> str:
    return f" {100 * part / whole:.0f} %" if 0 <= part <= whole and whole else ""


def _ram(memory: Memory) -> Markup:
    stack = "no data" if memory.stack_bytes is None else format_bytes(memory.stack_bytes)
    rows = facts(
        (_keyed("at-peak", "head: planned activations and scratch"), format_bytes(memory.head_bytes)),
        (_keyed("buffer", "tail: interpreter and operator data"), format_bytes(memory.tail_bytes)),
        ("arena: head + tail", format_bytes(memory.arena_bytes)),
        ("smallest arena that starts", format_bytes(memory.min_arena_bytes)),
        (_keyed("scratch", "stack of the interpreter"), stack),
        ("lower bound of any plan of this order", format_bytes(memory.lower_bound_bytes)),
        ("certificate", memory.certificate),
    )
    parts = bar(
        ("used", max(memory.head_bytes, 0)),
        ("tail", max(memory.tail_bytes, 0)),
        ("stack", max(memory.stack_bytes or 0, 0)),
        whole=max(memory.head_bytes + memory.tail_bytes + (memory.stack_bytes or 0), 1),
    )
    note = f"Order {memory.order}, in-place {memory.in_place}."
    return section("RAM in parts", parts, rows, note=note)


def _keyed(swatch: str, words: str) -> Markup:
    """A name with the colour that the bar above gives it."""
    return join(tag("i", class_=f"swatch {swatch}"), words)
