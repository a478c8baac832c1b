"""What TFLM's signal operators allocate (signal/micro/kernels/*.cc): records, buffers that live on, tables of an FFT.

Record sizes are (ARM, ILP32, 64-bit host), from the structures' fields; the host's were read from the executed build.
"""

from __future__ import annotations

from mcuprof.graph import Graph, Op
from mcuprof.ops.flexoptions import integer_option
from mcuprof.ops.kernel import NoKernel
from mcuprof.runtimes.tflm.abi import Abi
from mcuprof.runtimes.tflm.kernels.base import KernelMemory, Rule, Rules, data, nothing

_MOST = 2**31 - 1
_CIRCULAR_BUFFER = (24, 24, 40)
_FFT_CONFIG = 2 * 4 + 64 * 4  # length, direction, factors (kiss_fft_state without its twiddles)


def _known(rule: Rule) -> Rule:
    """The rule, and nothing but inexactness where the options that it needs are not there."""

    def checked(graph: Graph, op: Op, target: Abi) -> KernelMemory:
        try:
            return rule(graph, op, target)
        except NoKernel:
            return KernelMemory(exact=False)

    return checked


def _option(op: Op, name: str) -> int:
    return integer_option(op, name, 0, _MOST)


def _channels(graph: Graph, op: Op, inner: int) -> int:
    """Independent signals: the elements of the input over those of its last `inner` dimensions."""
    count = 1
    for size in graph.input(op).shape[:-inner]:
        count *= size
    return count


def _ring(capacity: int, target: Abi) -> int:
    """`CircularBufferGetNeededMemory`: a CircularBuffer and twice its int16 elements."""
    return target.pick(_CIRCULAR_BUFFER) + 2 * 2 * capacity


def fft(graph: Graph, op: Op, target: Abi) -> KernelMemory:
    """The record and the tables of `kiss_fftr_alloc`; scratch for the padded input."""
    width, length = graph.input(op).dtype.nbytes(1), _option(op, "fft_length")
    return KernelMemory((target.pick((32, 32, 48)), _tables(length, width, target)), (), (width * length,))


def inverse_fft(graph: Graph, op: Op, target: Abi) -> KernelMemory:
    """The record, and the tables of `kiss_fftr_alloc` with the length and a pointer before them in float."""
    width, length = graph.input(op).dtype.nbytes(1), _option(op, "fft_length")
    before = 2 * target.word if graph.input(op).dtype.is_float else 0
    return KernelMemory((target.pick((24, 24, 32)), before + _tables(length, width, target)))


def _tables(length: int, width: int, target: Abi) -> int:
    """kiss_fftr_state (three pointers), a complex plan of half the length, its buffer and half as many twiddles."""
    half, number = length // 2, 2 * width
    return 3 * target.word + _FFT_CONFIG + number * half + number * (half * 3 // 2)


def filter_bank(graph: Graph, op: Op, target: Abi) -> KernelMemory:
    """The record with its FilterbankConfig; a uint64 per channel and one more."""
    return KernelMemory((target.pick((36, 36, 64)), 8 * (_option(op, "num_channels") + 1)))


def spectral_subtraction(graph: Graph, op: Op, target: Abi) -> KernelMemory:
    """The record with its SpectralSubtractionConfig; the noise estimate, a uint32 per channel."""
    return KernelMemory((target.pick((44, 44, 56)), 4 * _option(op, "num_channels")))


def delay(graph: Graph, op: Op, target: Abi) -> KernelMemory:
    """The record; two pointers and a circular buffer of a frame and its delay for each signal."""
    return _rings(graph, op, target, (20, 20, 32), graph.input(op).shape[-1] + _option(op, "delay_length"))


def framer(graph: Graph, op: Op, target: Abi) -> KernelMemory:
    """The record; two pointers and a circular buffer of the steps that make a frame for each signal."""
    step = max(1, _option(op, "frame_step"))
    return _rings(graph, op, target, (28, 28, 40), -(-_option(op, "frame_size") // step) * step)


def _rings(graph: Graph, op: Op, target: Abi, record: tuple[int, int, int], capacity: int) -> KernelMemory:
    channels = _channels(graph, op, 1)
    pointers = (target.word * channels,) * 2
    return KernelMemory((target.pick(record),), (*pointers, *(_ring(capacity, target),) * channels))


def stacker(graph: Graph, op: Op, target: Abi) -> KernelMemory:
    """The record; a circular buffer of one stack."""
    frames = _option(op, "stacker_left_context") + 1 + _option(op, "stacker_right_context")
    return KernelMemory((target.pick((36, 36, 56)), _ring(_option(op, "num_channels") * frames, target)))


def overlap_add(graph: Graph, op: Op, target: Abi) -> KernelMemory:
    """The record; a pointer and a buffer of one frame for each signal."""
    x, channels = graph.input(op), _channels(graph, op, 2)
    frame = x.dtype.nbytes(x.shape[-1])
    return KernelMemory((target.pick((24, 24, 32)),), (target.word * channels, *(frame,) * channels))


RULES: Rules = {
    **dict.fromkeys(("CUSTOM:SignalWindow", "CUSTOM:SignalEnergy", "CUSTOM:SignalFilterBankLog"), data(8)),
    **dict.fromkeys(("CUSTOM:SignalFftAutoScale", "CUSTOM:SignalFilterBankSquareRoot"), nothing),
    "CUSTOM:SignalPCAN": data(4),
    "CUSTOM:SignalRfft": _known(fft),
    "CUSTOM:SignalIrfft": _known(inverse_fft),
    "CUSTOM:SignalFilterBank": _known(filter_bank),
    "CUSTOM:SignalFilterBankSpectralSubtraction": _known(spectral_subtraction),
    "CUSTOM:SignalDelay": _known(delay),
    "CUSTOM:SignalFramer": _known(framer),
    "CUSTOM:SignalStacker": _known(stacker),
    "CUSTOM:SignalOverlapAdd": _known(overlap_add),
}
