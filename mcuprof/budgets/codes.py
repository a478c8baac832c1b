"""What every finding means: the stable codes, as data.

What each looks like in practice is in `examples.py`.
Families: M1xx memory, F2xx flash, L3xx latency, O4xx operators, Q5xx quantization, D6xx dead compute,
V6xx verification, R7xx ratchet, C9xx configuration. A code, once published, keeps its meaning.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Explanation:
    """One finding code: what it is called, why it happens, what to do about it."""

    code: str
    title: str
    cause: str
    fix: str


_ALL = (
    # memory
    Explanation(
        "M101",
        "needs more RAM than the region has",
        "The smallest arena that can start, the interpreter's stack and what the firmware keeps (--reserve-ram) are "
        "together larger than the memory region, or than the --ram budget.",
        "Use a better memory plan (`mcuprof plan`), a smaller input or narrower layers around the peak, free RAM in "
        "the firmware, or take a device with more. `mcuprof analyze` shows the tensors at the peak.",
    ),
    Explanation(
        "M102",
        "persistent allocations dominate the arena",
        "The tail of the arena (interpreter structures, per-operator data, variable tensors) is larger than the head. "
        "It grows with the number of operators and tensors, and no memory plan shrinks it.",
        "Merge or remove operators, use per-tensor instead of per-channel quantization where accuracy allows, or use a "
        "runtime that is compiled ahead of time.",
    ),
    Explanation(
        "M103",
        "a better memory plan exists",
        "The runtime's own planner places the tensors worse than possible: the arena's head is larger than the most "
        "bytes that are ever live at once.",
        "`mcuprof plan MODEL -o OUT` writes better offsets into the model file; the stock runtime obeys them.",
    ),
    Explanation(
        "M104",
        "another operator order needs less",
        "Branches of the graph can run in several orders. The order in the file keeps more bytes alive than necessary.",
        "`mcuprof plan MODEL -o OUT --order optimal` writes the model with its operators reordered; outputs stay "
        "bit-identical.",
    ),
    Explanation(
        "M105",
        "stack use is not known",
        "There is no data on how much stack this runtime takes on this core, so the RAM verdict covers the arena only.",
        "Measure the stack's high-water mark on the board and pass it with --reserve-ram.",
    ),
    Explanation(
        "M106",
        "no RAM capacity to judge against",
        "Neither a device nor a RAM budget was named (a note), or the memory layout of the named device is not in the "
        "database, so that nothing shows that the arena fits in one piece (an error).",
        "Name a device with -d, or the largest free block of its RAM with --ram.",
    ),
    Explanation(
        "M107",
        "sharing bytes in place needs less",
        "Some operators can write their output over their input. The named runtime does not do so by itself.",
        "`mcuprof plan MODEL -o OUT --in-place elementwise` (or overlap) writes such a plan where kernels allow it.",
    ),
    Explanation(
        "M108",
        "the arena only fits external memory",
        "No internal region holds the arena, and external RAM is several times slower.",
        "Reduce the peak (`mcuprof plan`) until the arena fits an internal region.",
    ),
    Explanation(
        "M109",
        "a kernel's allocations are not known",
        "mcuprof has no data on the scratch or persistent memory of one of the kernels, so the arena shown may be too "
        "small and cannot be said to fit.",
        "Read arena_used_bytes() on the board once, or choose kernels with data (--kernels reference).",
    ),
    Explanation(
        "M110",
        "judged as if converted",
        "The runtime does not read ONNX. The figures are those of a conversion operator by operator; converters fuse, "
        "fold and transpose, so the converted file can differ.",
        "Convert the model and check the .tflite file for exact numbers.",
    ),
    Explanation(
        "M111",
        "orders and strategies were not compared",
        "The model has several subgraphs, or its operators cannot run in the order of the file, so that no plan can be "
        "made for it.",
        "Nothing is wrong with the memory figures shown. For plans, export the model as one graph.",
    ),
    # flash
    Explanation(
        "F201",
        "needs more flash than there is",
        "The stored model, the runtime and its kernels are together larger than the device's flash, or than the "
        "--flash budget.",
        "Use fewer or narrower layers, 4-bit weights where the runtime has them, or register only the kernels that the "
        "model uses (`mcuprof ops` writes the resolver).",
    ),
    Explanation(
        "F202",
        "no flash capacity to judge against",
        "Neither a device nor a flash budget was named, or the device's flash is not in the database.",
        "Name a device with -d, or a budget with --flash.",
    ),
    Explanation(
        "F203",
        "part of the flash bill has no data",
        "The code size of a kernel or of the runtime is not known for this core, so the total is a lower bound.",
        "Link the firmware once and compare; report the size so that it can be added to the database.",
    ),
    Explanation(
        "F204",
        "the same weights are stored more than once",
        "Several constants of the model have identical content but separate buffers.",
        "Convert the model with buffer deduplication.",
    ),
    # latency
    Explanation(
        "L301",
        "slower than the latency budget",
        "The upper end of the latency band is above --latency. The upper end decides, because a budget that holds "
        "only on average does not hold.",
        "Look for the operators with the largest share in `mcuprof analyze`, raise the clock, or use faster kernels.",
    ),
    Explanation(
        "L302",
        "no data, so the latency budget cannot be shown to hold",
        "There are no measured cost coefficients for this core and kernel library. mcuprof does not guess.",
        "Measure a few runs on the board and fit them with `mcuprof calibrate`, or drop the latency budget.",
    ),
    # operators
    Explanation(
        "O401",
        "operator not in the runtime",
        'The runtime has no kernel for this operator: on a device it stops with "Didn\'t find op for builtin opcode".',
        "Replace the operator when converting the model, or register a custom kernel for it.",
    ),
    Explanation(
        "O402",
        "operator version or type not supported",
        "The runtime knows the operator but not this version of it or these tensor types.",
        "Convert with an older operator set, or quantize the operator to a type the runtime supports.",
    ),
    Explanation(
        "O403",
        "what the reader decided",
        "The file leaves something open, usually the batch size (read as 1).",
        "Say the shape with --input-shape name:1x96x96x3, or convert the model with fixed shapes.",
    ),
    Explanation(
        "O404",
        "operator not known to mcuprof",
        "Its tensors count in memory, but its MACs, scratch buffers and code size are not known.",
        "Treat the totals as lower bounds.",
    ),
    Explanation(
        "O405",
        "the graph contradicts itself",
        "An operator reads a tensor that nothing has written, computes another shape or type than the file declares, "
        "or has options that cannot be. Some runtimes execute such a file and compute nonsense.",
        "Export the model again; if it was edited by a tool, look at the operator named.",
    ),
    Explanation(
        "O406",
        "fused activation that the kernel does not apply",
        "Kernels clamp for RELU, RELU6 and RELU_N1_TO_1, on float32 and on quantized 8- and 16-bit outputs. Any other "
        "fused activation, or one on another type, is ignored without a word: the outputs are not those of training.",
        "Export the activation as an operator of its own.",
    ),
    Explanation(
        "O407",
        "the file breaks a rule that runtimes do not check",
        "It is named as another format, lists its operators out of order, asks for operator versions that do not "
        "exist, or has names that are no text or that a terminal, page or spreadsheet could take for commands. "
        "Runtimes may take such a file all the same; no converter writes one.",
        "Look where the file comes from, and export the model again.",
    ),
    # quantization
    Explanation(
        "Q501",
        "float operator in a quantized graph",
        "A layer was left in float32: four times the activation bytes, slow on cores without floating-point unit.",
        "Quantize the layer too: give it calibration data, or replace the operator by one with an integer kernel.",
    ),
    Explanation(
        "Q502",
        "island of quantize and dequantize",
        "The graph converts to float and back around one operator. Every conversion costs a buffer and a pass.",
        "Replace the operator in the middle with an integer one, or move the conversion to the graph's border.",
    ),
    Explanation(
        "Q503",
        "quantization the kernels do not take",
        "A tensor is quantized per channel, with a zero point or in a type where the kernel expects otherwise. Kernels "
        "use the first scale, ignore the zero point, or read beyond the data, and say nothing.",
        "Convert with the runtime's quantization scheme: weights symmetric per channel, activations per tensor.",
    ),
    Explanation(
        "Q504",
        "the model is not quantized",
        "All activations are float32.",
        "Apply full integer post-training quantization: about a quarter of the RAM and flash.",
    ),
    Explanation(
        "Q505",
        "quantization parameters that cannot be",
        "A scale is zero, negative or not a number, a zero point lies outside its type, or the number of scales is not "
        "the number of channels.",
        "Quantize the model again, with calibration data that covers every layer.",
    ),
    Explanation(
        "Q506",
        "bias scale that does not match",
        "The bias is added to a sum whose scale is input scale × weight scale, whatever scale the file gives the bias. "
        "Where the two differ the layer adds another bias than the one that was trained.",
        "Convert the model again; tools that change weights or scales must change the bias with them.",
    ),
    # dead compute
    Explanation(
        "D601",
        "operators whose result nobody reads",
        "They do not lead to an output of the model, but cost time, RAM and flash.",
        "Remove them when exporting the model.",
    ),
    Explanation(
        "D602",
        "the same value is computed more than once",
        "Two operators have identical inputs and options.",
        "Share the result when exporting the model.",
    ),
    Explanation(
        "D603",
        "operators on constants only",
        "Their result is the same in every inference and could be stored.",
        "Fold constants when converting the model.",
    ),
    Explanation(
        "D604",
        "operators that change nothing",
        "Identities, reshapes to the same shape, pairs that cancel: a copy each.",
        "Remove them when exporting the model.",
    ),
    Explanation(
        "D605",
        "channels that hold the same value for every input",
        "Interval analysis of the integer weights shows that no input changes them: filters of zeros, or biases beyond "
        "what the clamp lets through.",
        "Remove them: `mcuprof plan MODEL -o OUT` does so, with equal outputs (in Python: mcuprof.rewrites.prune).",
    ),
    Explanation(
        "D606",
        "padding that costs an operator",
        "A PAD before a VALID convolution does what SAME padding does without a copy of the tensor.",
        "Export with SAME padding, or let `mcuprof plan MODEL -o OUT` fold it.",
    ),
    Explanation(
        "D607",
        "tensors that no operator uses",
        "They are neither read nor written. TFLM keeps a structure for each in the arena's tail, constants also take "
        "flash.",
        "Remove them when exporting the model.",
    ),
    # verification
    Explanation(
        "V601",
        "outputs differ from another runtime",
        "The integer kernels and the other runtime disagree on at least one element.",
        "Look at the first layer that differs and its rounding; differences of one step are usual between libraries.",
    ),
    Explanation(
        "V602",
        "the plan changes the outputs",
        "Executed inside the planned arena, an operator read bytes that another had overwritten. The plan is not safe.",
        "Do not deploy this plan. Report it: a plan must never get this far.",
    ),
    # ratchet
    Explanation(
        "R701",
        "grew more than the baseline allows",
        "A size or time rose by more than the ratchet's percentage and its minimum, compared with the baseline file.",
        "Undo the growth, or accept it by updating the baseline.",
    ),
    Explanation(
        "R702",
        "not in the baseline",
        "The baseline file has no entry for this model on this device.",
        "Update the baseline and commit it.",
    ),
    Explanation(
        "R703",
        "the baseline is looser than the model",
        "The model got smaller or faster; the old limit would let it grow back unnoticed.",
        "Update the baseline and commit it.",
    ),
    # configuration
    Explanation(
        "C901",
        "nothing to judge against",
        "No device and no budget was named, so mcuprof printed what the model needs and judged nothing.",
        "Name a device with -d (`mcuprof devices list`), or budgets with --ram, --flash and --latency.",
    ),
    Explanation(
        "C902",
        "budget larger than the device",
        "The budget on the command line or in the configuration is more than the device's database entry "
        "offers after what its own firmware keeps. The budget was used.",
        "Lower the budget, or correct the device (`mcuprof devices show`).",
    ),
)

CODES: Mapping[str, Explanation] = MappingProxyType({entry.code: entry for entry in _ALL})
