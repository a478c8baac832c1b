"""What a model would take on its device's accelerator, once compiled for it: one `Npu` of the report document.

The verdict stays on the file as it is: TFLM runs an uncompiled model on the host core, whatever stands beside it.
"""

from __future__ import annotations

import msgspec

from mcuprof.costs import NoData
from mcuprof.costs.npu import ArrayEstimate, NpuEstimate, Published, estimate, machine, on_arrays, published
from mcuprof.costs.npu.machine import Machine
from mcuprof.costs.npu.validation import claim
from mcuprof.document import Latency, Npu, NpuOperator
from mcuprof.errors import DeviceError
from mcuprof.graph import Graph
from mcuprof.hardware import Accelerator, Device, EthosU, NpuSetting, load_accelerator, load_npu_systems
from mcuprof.ops import total_macs
from mcuprof.ops.soundness import NPU

# Keys of a device whose doubts are about its accelerator.
_OWN = ("accelerators", "npu")


def npu(graph: Graph, device: Device, latency: Latency | None) -> Npu | None:
    """The estimate for the accelerator beside the device's core; None where there is none. `latency` is the host's.

    Raises DeviceError where the device names a system or memory mode that the database does not have.
    """
    if device.accelerator is None:
        return None
    accelerator = load_accelerator(device.accelerator)
    found = _estimate(graph, accelerator, device, latency)
    stated = {**accelerator.doubts, **{key: device.doubts[key] for key in _OWN if key in device.doubts}}
    doubts = tuple(f"{key}: {text}" for key, text in stated.items())
    return msgspec.structs.replace(found, doubts=doubts) if doubts else found


def _estimate(graph: Graph, accelerator: Accelerator, device: Device, latency: Latency | None) -> Npu:
    if any(op.kind == NPU for op in graph.ops):
        return _nothing(
            accelerator, "no data: the model is compiled for an Ethos-U; estimate from the file before that"
        )
    if accelerator.ethos_u is not None:
        found = estimate(graph, _machine(accelerator.ethos_u, device))
        if isinstance(found, NoData):
            return _nothing(accelerator, f"no data: {found.reason}")
        if not found.cycles:
            return _nothing(
                accelerator, f"no data: no work is left for it ({', '.join(dict.fromkeys(found.fallen.values()))})"
            )
        return _ethos(graph, accelerator, found, device, latency)
    if accelerator.array is not None:
        arrays = on_arrays(graph, accelerator.array)
        if isinstance(arrays, NoData):
            return _nothing(accelerator, f"no data: {arrays.reason}")
        return _arrays(graph, accelerator, arrays, latency)
    if accelerator.id.startswith("ethos-u") or "Ethos-U" in accelerator.name:
        return _nothing(accelerator, "no data: the configuration of this Ethos-U (MACs per cycle) is not known")
    measured = published(accelerator.id, total_macs(graph), accelerator.clock_hz)
    if isinstance(measured, NoData):
        return _nothing(accelerator, f"no data: {measured.reason}")
    return _published(accelerator, measured)


def _machine(chip: EthosU, device: Device) -> Machine:
    """The NPU as the device says it has it."""
    own = device.npu or NpuSetting()
    known = load_npu_systems()
    for key, name, names in (("system", own.system, known.systems), ("mode", own.mode, known.modes)):
        if name is not None and name not in names:
            raise DeviceError(f"{device.id}: npu.{key}: there is no {name!r} (there are {', '.join(names)})")
    return machine(chip, own.system, own.mode, own.clock_hz)


def _nothing(accelerator: Accelerator, basis: str) -> Npu:
    return Npu(accelerator.id, None, None, None, None, None, None, None, None, None, {}, basis, ())


def _published(accelerator: Accelerator, found: Published) -> Npu:
    own = (None, accelerator.clock_hz, None, found.ms, found.low_ms, found.high_ms)
    return Npu(accelerator.id, *own, None, None, None, {}, found.basis, ())


def _ethos(graph: Graph, accelerator: Accelerator, found: NpuEstimate, device: Device, latency: Latency | None) -> Npu:
    names = found.machine.system, found.machine.mode
    where = f"{names[0]}, {names[1]}{_assumed(device.npu)}"
    basis = f"modelled: Vela-equivalent estimate of {where}; {claim(accelerator.id)}"
    if found.evicted:
        basis += f"; {found.evicted} maps do not fit the SRAM; Vela's cascades, which help then, are not modelled"
    operators = []
    for index, op in enumerate(graph.ops):
        if (reason := found.fallen.get(index)) is not None:
            operators.append(_on_host(index, op.kind, reason, latency))
        else:
            bound = found.bound_of(index) or msgspec.UNSET
            operators.append(NpuOperator(index, op.kind, "npu", found.cycles_of(index), None, "modelled", bound))
    return Npu(
        accelerator=accelerator.id,
        system=", ".join(names),
        clock_hz=found.machine.clock_hz,
        cycles=found.cycles,
        ms=found.ms,
        low_ms=None,
        high_ms=None,
        host_ms=_host_ms(tuple(operators), latency),
        sram_bytes=found.sram_bytes,
        weight_bytes=found.weight_bytes,
        traffic=dict(sorted(found.traffic.items())),
        basis=basis,
        operators=tuple(operators),
        clock_assumed=device.npu is None or (device.npu.clock_hz or device.npu.system) is None,
    )


def _assumed(own: NpuSetting | None) -> str:
    """What of system, memory mode and clock the device does not say."""
    if own is None:
        return " (assumed: the device's own is not known)"
    parts = (("system", own.system), ("memory mode", own.mode), ("clock", own.clock_hz or own.system))
    missing = [name for name, value in parts if value is None]
    return f" ({' and '.join(missing)} assumed)" if missing else ""


def _arrays(graph: Graph, accelerator: Accelerator, found: ArrayEstimate, latency: Latency | None) -> Npu:
    layers = {layer.operator: layer for layer in found.layers}
    operators = []
    for index, op in enumerate(graph.ops):
        if (layer := layers.get(index)) is None:
            operators.append(_on_host(index, op.kind, found.fallen[index], latency))
            continue
        words = f"modelled: {layer.tiles} tiles in {layer.passes} passes, {layer.utilisation:.0%} of the cells in use"
        operators.append(NpuOperator(index, op.kind, "npu", round(layer.cycles), None, words))
    basis = "modelled: conversions of the arrays as described in the accelerator's file; nothing was measured"
    return Npu(
        accelerator=accelerator.id,
        system=None,
        clock_hz=found.clock_hz,
        cycles=round(found.cycles),
        ms=found.ms,
        low_ms=None,
        high_ms=None,
        host_ms=_host_ms(tuple(operators), latency),
        sram_bytes=None,
        weight_bytes=None,
        traffic={},
        basis=basis,
        operators=tuple(operators),
    )


def _on_host(index: int, kind: str, reason: str, latency: Latency | None) -> NpuOperator:
    own = next((each for each in latency.operators if each.index == index), None) if latency is not None else None
    if own is None:
        return NpuOperator(index, kind, "host", None, None, f"{reason}; no data on the host's cost")
    return NpuOperator(index, kind, "host", own.cycles, own.instructions, f"{reason}; {own.basis}")


def _host_ms(operators: tuple[NpuOperator, ...], latency: Latency | None) -> float | None:
    """Milliseconds of the operators left to the host: 0 where there are none, None where one has no cycles."""
    left = [each for each in operators if each.place == "host"]
    if not left:
        return 0.0
    if latency is None or not latency.cycles or latency.ms is None or any(each.cycles is None for each in left):
        return None
    return sum(each.cycles or 0 for each in left) / latency.cycles * latency.ms
