"""Sample models that this repository owns: described once, built from a fixed seed, written in three formats."""
