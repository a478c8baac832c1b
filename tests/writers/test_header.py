"""C headers of plans: what is read is what was written, C compilers take it, and nothing else passes for one."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcuprof import load, memory
from mcuprof.errors import UsageError
from mcuprof.graph import Graph
from mcuprof.memory import MemoryPlan
from mcuprof.planning import Firmware
from mcuprof.runtimes.tflm.overlap import rules, walk, walk_named
from mcuprof.writers.header import c_header, read_c_header
from tests.corpus import model, needs_shared

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
CORPUS = ("mlperf_kws_int8", "mlperf_ic_resnet8_int8", "mlperf_vww_mbv1_int8", "tflm_person_detect", "ambiq_nnid")


def planned(graph: Graph, library: str, order: str = "as-is") -> tuple[MemoryPlan, str]:
    """A plan with the scratch of the library's kernels, and for whom it is valid."""
    sharing, firmware = rules(library, None), Firmware(library)
    scratch = firmware.arena(graph).scratch(len(graph.ops))
    found = memory.plan(graph, order, "overlap", scratch=scratch, sharing=sharing)  # type: ignore[arg-type]
    return found, sharing.name


def agrees(graph: Graph, library: str, name: str) -> None:
    plan, kernels = planned(graph, library)
    found = read_c_header(c_header(graph, plan, name, kernels).encode())
    assert (found.sha256, found.kernels) == (graph.origin.sha256, kernels)
    assert (found.schedule, found.strategy) == (plan.schedule, plan.strategy)
    assert (found.arena_bytes, found.alignment) == (plan.arena_bytes, plan.alignment)
    assert (found.order, found.offsets) == (tuple(plan.order), tuple(plan.offsets))
    blocks = [(number, *block) for number, blocks in enumerate(plan.scratch) for block in blocks]
    assert found.scratch == tuple(blocks)
    assert bool(blocks) == (library == "cmsis-nn")


@needs_shared
@pytest.mark.parametrize("name", CORPUS)
def test_headers_of_real_networks_are_read_back(name: str) -> None:
    graph = load(model(name).path)
    agrees(graph, "reference", f"{name}.tflite")
    agrees(graph, "cmsis-nn", f"{name}.tflite")


@pytest.mark.parametrize(
    "name", ["resnet8_int8.tflite", "9 lives (1), SHA-256 (x).tflite", "modèle*/.tflite", ".tflite"]
)
def test_any_file_name_is_read_back(name: str) -> None:
    agrees(load(SAMPLES / "resnet8_int8.tflite"), "cmsis-nn", name)


@pytest.mark.parametrize("library", ["reference", "cmsis-nn", "esp-nn"])
def test_the_kernels_are_told_from_the_header(library: str) -> None:
    """What a line comment cannot hold is replaced: the name must still say in which order they read."""
    graph = load(SAMPLES / "digits_int8.tflite")
    plan, kernels = planned(graph, library)
    found = walk_named(read_c_header(c_header(graph, plan, "digits", kernels).encode()).kernels)
    for op in graph.ops:
        ours, theirs = found(graph, op, 0), walk(library, None)(graph, op, 0)
        assert ours.block == theirs.block and np.array_equal(ours.written, theirs.written)


def test_c_compilers_take_it() -> None:
    graph = load(SAMPLES / "resnet8_int8.tflite")
    plan, kernels = planned(graph, "cmsis-nn")
    source = c_header(graph, plan, "8 net.tflite", kernels) + (
        "int main(void) { return m8_net_order[0] + m8_net_offsets[0] + m8_net_scratch[0][2] + M8_NET_ARENA_BYTES; }\n"
    )
    try:
        done = subprocess.run(
            ["cc", "-x", "c", "-std=c99", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-"],
            input=source.encode(),
            capture_output=True,
            check=False,
        )
    except FileNotFoundError:
        pytest.skip("no C compiler is installed")
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def text() -> str:
    graph = load(SAMPLES / "resnet8_int8.tflite")
    plan, kernels = planned(graph, "cmsis-nn")
    return c_header(graph, plan, "resnet8_int8.tflite", kernels)


def test_line_ends_of_windows_change_nothing(text: str) -> None:
    assert read_c_header(text.replace("\n", "\r\n").encode()) == read_c_header(text.encode())


def test_no_line_can_be_left_out_or_doubled(text: str) -> None:
    lines = text.split("\n")
    for number in range(len(lines) - 1):
        for wrong in ([*lines[:number], *lines[number + 1 :]], [*lines[:number], lines[number], *lines[number:]]):
            if wrong != lines:
                with pytest.raises(UsageError, match="is not a header"):
                    read_c_header("\n".join(wrong).encode())


def test_no_end_can_be_cut_off(text: str) -> None:
    for end in range(0, len(text), 7):
        with pytest.raises(UsageError, match="is not a header"):
            read_c_header(text[:end].encode())


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        (" = {\n    0, 1,", " = {\n    0,  1,"),
        (" = {\n    0, 1,", " = {\n    00, 1,"),
        (" = {\n    0, 1,", " = {\n    0x0, 1,"),
        (" = {\n    0, 1,", " = {\n    99999999999, 1,"),
        ("_ARENA_BYTES ", "_ARENA_BYTES 9999999999999"),
        ("int32_t", "int16_t"),
        ("_order[16]", "_order[15]"),
        ("[3] = {", "[4] = {"),
        ("    {0, ", "    {0, 0, "),
        ("#include <stdint.h>", "#include <stdint.h>\n#include <stddef.h>"),
        ("#endif", "#define RESNET8_INT8_ARENA_BYTES 0\n#endif"),
        ("// First", "/* First"),
    ],
)
def test_what_is_written_otherwise_is_refused(text: str, was: str, becomes: str) -> None:
    assert was in text
    with pytest.raises(UsageError, match=r"line \d+ has been changed|it lacks"):
        read_c_header(text.replace(was, becomes, 1).encode())


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_noise_is_refused_or_read_as_it_stands(text: str, data: st.DataObject) -> None:
    noisy = bytearray(text.encode())
    for _ in range(data.draw(st.integers(1, 4))):
        noisy[data.draw(st.integers(0, len(noisy) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = read_c_header(bytes(noisy))
    except UsageError as error:
        assert "\n" not in str(error)
        return
    assert found.text().encode() == re.sub(rb"\r\n", b"\n", bytes(noisy))
