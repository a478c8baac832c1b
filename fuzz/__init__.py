"""Fuzzing: files that lie, thrown at the command line. `make fuzz`, or `python -m fuzz --help`.

`mutate_tflite` and `mutate_onnx` change real files where their structure is (offsets, shapes, scales, options);
`target` runs one input as a user would, `campaign` runs many and writes down which broke a promise. An input is known
by its format, seed and number alone: `python -m fuzz --replay` makes it again.
"""
