"""Floor 3: puts a plan back into a model file. One file per format, and the raw surgery on flatbuffers."""

from mcuprof.writers.files import replace_file, same_file
from mcuprof.writers.tflite import FilePlan, carries_plan, strip, with_plan

__all__ = ["FilePlan", "carries_plan", "replace_file", "same_file", "strip", "with_plan"]
