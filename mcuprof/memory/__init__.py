"""Floor 2: memory plans. Knows nothing of files, devices and runtimes."""
