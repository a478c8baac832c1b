"""Published latencies as rows to fit on: each joined with its network's layers, a core, a device and a runtime.

Run by tools/fit_cycles.py. A row is used when its network's layers are known (`layers_rows.csv`), its clock is printed
(or assumed, see `_CLOCKS`), its runtime is one of `_SYSTEMS` and the whole network ran on the CPU.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from tables import layer_graph, table

from mcuprof.costs.laws import NoData, count, law_book, standing_in, total
from mcuprof.costs.shares import share
from mcuprof.graph import ABSENT, Graph

Pair = tuple[str, str, str, str]
_WEIGHTED = {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "SVDF", "UNIDIRECTIONAL_SEQUENCE_LSTM"}


@dataclass(frozen=True, slots=True)
class System:
    """Software that was measured. `pattern` matches runtime and version as the source prints them.

    `family` names the systems whose shares are learned together; `work` is the kernel set whose instruction laws count
    its work.
    """

    pattern: str
    family: str
    runtime: str
    kernels: str
    work: str


_SYSTEMS = (
    System(r"microTVM \+ CMSIS-NN", "cmsis-nn", "tflm", "cmsis-nn", "cmsis-nn"),  # the same kernels
    System(r"TFLM 2\.3\.1 \+ CMSIS-NN", "cmsis-nn", "tflm-2.3", "cmsis-nn", "cmsis-nn"),
    System(r"(TensorFlow Lite Micro|TFLM) \+ CMSIS-NN(?! ported)", "cmsis-nn", "tflm", "cmsis-nn", "cmsis-nn"),
    System(r"CMSIS-NN ported to RX", "cmsis-nn", "tflm-rx", "cmsis-nn-rx", "cmsis-nn"),
    System(r"Andes NN library", "cmsis-nn", "tflm-andes", "andes-nn", "cmsis-nn"),
    System(r"ONNC \+ CMSIS-NN legacy", "cmsis-nn", "onnc", "cmsis-nn-q7", "cmsis-nn"),
    System(r"reference|ansi-c", "reference", "tflm", "reference", "reference"),
    System(r"ESP-NN$|esp-nn-optimized|ESP-NN optimized", "esp-nn", "tflm", "esp-nn", "esp-nn"),
    System(r"microTVM native", "microtvm", "microtvm", "native", "cmsis-nn"),
    System(r"(X-CUBE-AI|STM32Cube\.AI)\D*7\.", "st", "x-cube-ai-7", "st", "cmsis-nn"),
    System(r"(X-CUBE-AI|STM32Cube\.AI)\D*8\.", "st", "x-cube-ai-8", "st", "cmsis-nn"),
    System(r"(X-CUBE-AI|STM32Cube\.AI)\D*9\.", "st", "x-cube-ai-9", "st", "cmsis-nn"),
    System(r"(X-CUBE-AI|STM32Cube\.AI)\D*10\.", "st", "x-cube-ai-10", "st", "cmsis-nn"),
    System(r"STEdgeAI Core 3\.", "st", "st-edge-ai-3", "st", "cmsis-nn"),
    System(r"TinyEngine", "tinyengine", "tinyengine", "tinyengine", "cmsis-nn"),
    System(r"Plumerai.*2022-03", "plumerai", "plumerai-2022.03", "plumerai", "cmsis-nn"),
    System(r"Plumerai.*2022-10", "plumerai", "plumerai-2022.10", "plumerai", "cmsis-nn"),
    System(r"Plumerai.*2023\.05", "plumerai", "plumerai-2023.05", "plumerai", "cmsis-nn"),
    System(r"HALE", "hale", "hale", "hale", "cmsis-nn"),
    System(r"Edge Impulse EON", "eon", "eon", "eon", "cmsis-nn"),
)
# What the sources call a core or a device → our id of the core. The first that matches counts.
_CORES = (
    (r"ESP32-P4", "rv32imafc-pie"),
    (r"ESP32-S3", "xtensa-lx7-pie"),
    (r"ESP32-S2", "xtensa-lx7"),
    (r"ESP32", "xtensa-lx6"),
    (r"RX65N", "rxv2"),
    (r"RH850", "rh850-g3kh"),
    (r"D25F", "andes-d25f"),
    (r"D45", "andes-d45"),
    (r"NX27V", "andes-nx27v"),
    (r"Scepu02", "rv32imac"),
    (r"QingKe V4F", "qingke-v4f"),
    (r"QingKe V4B", "qingke-v4b"),
    (r"QingKe V3A", "qingke-v3a"),
    (r"E907", "xuantie-e907"),
    (r"HIFI3", "hifi3"),
    (r"Cortex-M0\+|CM0\+", "cortex-m0plus"),
    (r"ARM CM0 ", "cortex-m0"),
    (r"Cortex-M33|CM33", "cortex-m33"),
    (r"Cortex-M3 |CM3 ", "cortex-m3"),
    (r"Cortex-M4|CM4", "cortex-m4"),
    (r"Cortex-M7|CM7", "cortex-m7"),
    (r"Cortex-M85", "cortex-m85"),
)
# What the sources call a device → our id of it, for those that are in the database.
_DEVICES = (
    (r"L4R5ZI", "stm32l4r5zi"),
    (r"L4R9", "stm32l4r9zi"),
    (r"nRF5340", "nrf5340"),
    (r"RA8D1", "ra8d1"),
    (r"H743", "stm32h743zi"),
    (r"H747", "stm32h747xi"),
    (r"H750", "stm32h750vb"),
    (r"H7A3", "stm32h7a3zi"),
    (r"F767", "stm32f767zi"),
    (r"U575", "stm32u575zi"),
    (r"U585", "stm32u585ai"),
    (r"G0B1", "stm32g0b1re"),
    (r"M467HJ", "m467hj"),
    (r"Scepu02", "rv32-scepu02"),
    (r"RX65N", "rx65n"),
    (r"RH850", "rh850-f1km-s4"),
    (r"ESP32-P4", "esp32-p4"),
    (r"ESP32-S3", "esp32-s3"),
    (r"ESP32-S2", "esp32-s2"),
    (r"ESP32$", "esp32"),
    (r"F411", "stm32f411ce"),
    (r"AT32F403A", "at32f403a"),
    (r"G474", "stm32g474re"),
    (r"L496", "stm32l496zg"),
    (r"NRF52832", "nrf52832"),
    (r"RP2040", "rp2040"),
    (r"SAMD21", "samd21g18"),
    (r"F103C8", "stm32f103c8"),
    (r"CH32V307", "ch32v307"),
    (r"CH32V203", "ch32v203"),
)
# Clocks that the source does not print: the part's maximum. X-CUBE-AI 7.3 on the H743 at 480 MHz agrees with the same
# version on H747 and H7A3, whose clocks are printed.
_CLOCKS = {"stm32h743zi": 480_000_000, "rx65n": 120_000_000}
_PRECISIONS = {"int8", "int8 (float32 I/O)", "int16x8"}
_INTERNAL_RAM_KIB, _INTERNAL_FLASH_KIB = 512, 2048  # STM32H747, the one board with rows beyond them


@dataclass(frozen=True, slots=True)
class Measured:
    """One published latency. `group` is held out together; `work` are modelled instructions by share."""

    family: str
    runtime: str
    kernels: str
    core: str
    board: str
    model: str
    group: str
    variant: str
    clock_hz: int
    ms: float
    work: Mapping[str, float]
    macs: Mapping[str, int]
    operators: int
    weight_bytes: int
    source: str
    proxy: str
    library: str

    @property
    def cycles(self) -> float:
        """Measured cycles at the stated clock."""
        return self.ms * self.clock_hz / 1000

    @property
    def pair(self) -> Pair:
        """Family, runtime, kernel set and core: what one factor is fitted for."""
        return self.family, self.runtime, self.kernels, self.core


def measurements() -> list[Measured]:
    """All usable rows, sorted; rows that are the same number printed twice are one."""
    found = {(row.pair, row.board, row.clock_hz, row.model, row.variant, round(row.ms, 2)): row for row in _rows()}
    return sorted(found.values(), key=lambda row: (*row.pair, row.board, row.model, row.variant, row.ms))


def _rows() -> Iterator[Measured]:
    notes = _notes()
    for row in table("layers_rows.csv"):
        words = f"{row['runtime']} {row['runtime_version']}"
        system = system_of(words)
        if system is None or not row["latency_ms"] or row["accelerator"] or row["precision"] not in _PRECISIONS:
            continue
        core = core_of(f"{row['device']} {row['core']} ")
        full = notes.get(_key(row), {})
        if core is None or row["match"] == "doubtful" or _is_unlike(row, full) or _is_outside(row):
            continue
        board = board_of(row["device"]) or row["device"].lower()
        clock = int(float(row["clock_mhz"]) * 1e6) if row["clock_mhz"] else _CLOCKS.get(board)
        graph = layer_graph(row["key"])
        if clock is None or graph is None:
            continue
        foreign = system.runtime != "tflm"
        worked = work_of(graph, core, system.work, foreign=foreign)
        if worked is None:
            continue
        model = {
            "TinyMLPerf_AE": "ad",
            "TinyMLPerf_DS_CNN": "kws",
            "TinyMLPerf_ResNet": "ic",
            "TinyMLPerf_MBNet": "vww",
        }
        yield Measured(
            *(system.family, system.runtime, system.kernels, core, board),
            model=model.get(row["model"], row["model"]),
            group=groups()[row["key"]],
            variant=row["precision"],
            clock_hz=clock,
            ms=float(row["latency_ms"]),
            work=worked[0],
            macs=macs_of(graph),
            operators=len(graph.ops),
            weight_bytes=weight_bytes_of(graph),
            source=row["source"],
            proxy=worked[1],
            library=system.work,
        )


def work_of(graph: Graph, core: str, kernels: str, *, foreign: bool) -> tuple[dict[str, float], str] | None:
    """Modelled instructions by share, and the id of the core they were counted on; None where they are not known."""
    book = standing_in(core, kernels) if foreign or law_book(core, kernels) is None else law_book(core, kernels)
    if book is None:
        return None
    counts = [count(graph, op, book, rough=foreign) for op in graph.ops]
    if isinstance(total(graph, counts, book), NoData):
        return None
    work: dict[str, float] = {}
    for one in counts:
        work[share(one.kernel)] = work.get(share(one.kernel), 0.0) + (one.instructions or 0)
    return work, book.core


def macs_of(graph: Graph) -> dict[str, int]:
    """Multiply-accumulates by kind of operator: what the baselines of benchmarks/latency.py are made from."""
    from mcuprof.ops import macs

    found: dict[str, int] = {}
    for op in graph.ops:
        found[op.kind] = found.get(op.kind, 0) + macs(graph, op)
    return {kind: value for kind, value in found.items() if value}


def weight_bytes_of(graph: Graph) -> int:
    """Bytes of constants that the weighted operators read."""
    return sum(
        graph.tensors[index].nbytes
        for op in graph.ops
        if op.kind in _WEIGHTED
        for index in op.inputs
        if index != ABSENT and graph.tensors[index].data is not None
    )


def _is_unlike(row: Mapping[str, str], full: Mapping[str, str]) -> bool:
    """Rows of another build, of another network than was named, or that repeat others."""
    if full.get("vww_dead_channels_removed") == "likely":  # the runtime dropped half of the network
        return True
    if full.get("benchmark") == "sww" or row["source"] in {"gnotu/pico2-benchmark"}:
        return True
    if row["source"] == "espressif/esp-nn" and "reference" in row["runtime"]:
        return True  # on ESP32 another source measured the same network seven times faster: not a release build
    if row["source"] == "Black3rror/EdgeMark" and "CMSIS-NN" in row["runtime"]:
        return "-O3, FPU;" not in full.get("note", "")
    if row["source"].endswith("bosch"):  # "max performance" builds are other firmware
        return "max_performance" in full.get("system", "") or row["precision"] != "int8"
    return "stale" in full.get("note", "") or full.get("division") == "open"


def _is_outside(row: Mapping[str, str]) -> bool:
    """Activations or weights in external memory: the rows there are differ by a factor of three, no constant fits."""
    ram, flash = float(row["activation_ram_kib"] or 0), float(row["total_flash_kib"] or 0)
    return "H747" in row["device"] and (ram > _INTERNAL_RAM_KIB or flash > _INTERNAL_FLASH_KIB)


def system_of(words: str) -> System | None:
    """The software that a source's words for runtime and version name."""
    return next((each for each in _SYSTEMS if re.search(each.pattern, words)), None)


def core_of(words: str) -> str | None:
    """The id of the core that a source's words for device and core name."""
    return _first(_CORES, words)


def board_of(words: str) -> str | None:
    """The id of the device that a source's words name, where the database has it."""
    return _first(_DEVICES, words)


def _first(patterns: tuple[tuple[str, str], ...], text: str) -> str | None:
    return next((name for pattern, name in patterns if re.search(pattern, text)), None)


def _key(row: Mapping[str, str]) -> tuple[str, ...]:
    return (row["source"], row["model"], row["device"], row["runtime"], row["precision"], row["latency_ms"])


@cache
def _notes() -> Mapping[tuple[str, ...], Mapping[str, str]]:
    """The full rows of the published tables by what `layers_rows.csv` repeats of them."""
    found = {_key(row): row for row in table("measured.csv")}
    for row in table("mlperf_tiny.csv"):
        source = f"mlperf_tiny {row['round']} {row['submitter']}"
        key = (source, row["benchmark"], row["board"], row["framework"], row["precision"], row["latency_ms"])
        found[key] = row
    return found


@cache
def groups() -> Mapping[str, str]:
    """Layer table → its group: networks whose weighted layers are nearly the same must be held out together."""
    keys = sorted({row["key"] for row in table("layers_rows.csv") if row["key"]})
    layers: dict[str, list[tuple[object, ...]]] = {}
    for key in keys:
        graph = layer_graph(key)
        layers[key] = (
            [(op.kind, graph.input(op).shape, graph.output(op).shape) for op in graph.ops if op.kind in _WEIGHTED]
            if graph
            else []
        )
    leader: dict[str, str] = {}
    for key, mine in layers.items():
        twins = (
            other
            for other in dict.fromkeys(leader.values())
            if mine and sum(layer in layers[other] for layer in mine) > 0.6 * max(len(mine), len(layers[other]))
        )
        leader[key] = next(twins, key)
    return leader
