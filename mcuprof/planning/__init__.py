"""Floor 4: a better memory plan for a firmware that exists: chosen, written into the model file, and proven.

planned = plan_tflite(graph, data, Firmware("cmsis-nn", core))
planned.data            # the file to flash; equal to the old one where no plan is better
planned.after.arena_bytes
"""

from mcuprof.planning.choice import Firmware, Wishes
from mcuprof.planning.orchestrate import Planned, plan_onnx, plan_tflite
from mcuprof.planning.pruning import Pruned, plan_pruned, prune_tflite
from mcuprof.planning.sharing import SharedArena, share_arena

__all__ = [
    "Firmware",
    "Planned",
    "Pruned",
    "SharedArena",
    "Wishes",
    "plan_onnx",
    "plan_pruned",
    "plan_tflite",
    "prune_tflite",
    "share_arena",
]
