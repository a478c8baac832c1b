"""An example for every finding code: a model that has it, in a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

EXAMPLES: Mapping[str, str] = MappingProxyType(
    {
        "M101": "An arena of 100 KiB and a stack of 2 KiB on a part with one 96 KiB block of SRAM; or a budget of "
        'ram = "64K" in mcuprof.toml.',
        "M102": "A keyword spotter of 60 tiny operators: 6 KiB of activations, 14 KiB of node and tensor structures.",
        "M103": "Head 73,728 B while never more than 55,296 B are live: the planner left a gap that others close.",
        "M104": "An Inception block computes all four branches before it concatenates; finishing the narrow ones first "
        "keeps less alive.",
        "M105": "A Xtensa core, for which nobody has measured the interpreter's stack: 24 KiB of arena is judged, the "
        "2 KiB of stack beside it is not.",
        "M106": "mcuprof check model.tflite --flash 512K names no RAM; or a part is known only to have 512 KiB "
        "in all, in how many banks is not.",
        "M107": "RELU after ADD writes a second buffer of 32 KiB although its input is never read again.",
        "M108": "An arena of 700 KiB on an STM32H7 with 512 KiB of AXI SRAM and 8 MiB of SDRAM.",
        "M109": "An int8 model on an ESP32-S3 with esp-nn kernels, of whose convolutions nobody measured the scratch.",
        "M110": "mcuprof check model.onnx -d nrf52840: TFLM runs .tflite files.",
        "M111": "mcuprof analyze streaming.tflite: no orders and strategies compared: the model has several subgraphs.",
        "F201": "A 480 KiB model and 90 KiB of runtime and kernels on a part with 512 KiB of flash.",
        "F202": "mcuprof check model.tflite --ram 96K names no flash.",
        "F203": "A CUSTOM operator: its kernel is in your firmware, and its size is not in the database.",
        "F204": "Two heads of a network share their weights, and the converter stored them twice.",
        "L301": "47 ms, 39 to 58 ms in its band, against --latency 50ms: 58 ms is possible, so it does not hold.",
        "L302": "--latency 50ms for a Cortex-M23, on which no published measurement anchors cycles per instruction.",
        "O401": "A TFLite operator CUMSUM on a runtime that was built without it.",
        "O402": "FULLY_CONNECTED of float32 activations with int8 weights: TFLM has no hybrid kernels.",
        "O403": "An ONNX input of shape [batch, 3, 96, 96]: batch was read as 1.",
        "O404": "com.microsoft::BiasGelu: its tensors are counted, what its kernel allocates is not.",
        "O405": "A CONCATENATION whose file declares 64 channels although its inputs have 32 and 16.",
        "O406": "An ADD of int32 tensors with a fused RELU: TFLM adds and does not clamp.",
        "O407": "DEPTHWISE_CONV_2D version 99, where the newest that exists is 7; TFLM does not look.",
        "Q501": "A SOFTMAX left in float32 at the end of an int8 classifier.",
        "Q502": "DEQUANTIZE, HARD_SWISH, QUANTIZE in the middle of an int8 network: two conversions for one operator.",
        "Q503": "DEQUANTIZE of weights quantized per channel: TFLM uses the first channel's scale for all of them.",
        "Q504": "A model exported with float32 weights and activations: four times the bytes of int8.",
        "Q505": "A layer that saw only zeros in calibration and got the scale 0.",
        "Q506": "A bias of scale 0.0085 where input × weights have 1.74e-5: it counts 488 times too little.",
        "D601": "An auxiliary classifier that is used in training only, still in the exported graph.",
        "D602": "Two branches that both begin with the same RESHAPE of the same tensor.",
        "D603": "SHAPE, STRIDED_SLICE and PACK compute a reshape's target, which never changes.",
        "D604": "A TRANSPOSE to NCHW followed by one back to NHWC, left by a converter.",
        "D605": "The reference VWW model: 1,715 of its channels are constant, half of its MACs feed them.",
        "D606": "ZeroPadding2D before a convolution of stride 2, as Keras' MobileNetV2 has it.",
        "D607": "Weights of a training head whose operators were removed, still in the file.",
        "V601": "Element 17 of the output is -3 here and -4 in LiteRT: a requantization that rounds twice.",
        "V602": "An ADD whose output was placed over an input that a later operator still reads.",
        "R701": "RAM went from 56,372 B to 60,100 B: +6.6 %, where 2 % or 1 KiB is allowed.",
        "R702": "A model added to models/ since the baseline was last updated.",
        "R703": "A pruned model takes 40 KiB where the baseline says 56 KiB: 16 KiB of growth that nobody would see.",
        "C901": "mcuprof check model.tflite in a folder without mcuprof.toml.",
        "C902": "--ram 512K for a device with 256 KiB: right only if the board has more than the database knows.",
    }
)
