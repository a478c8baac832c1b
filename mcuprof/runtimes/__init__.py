"""Floor 2: what an inference runtime adds to a network: its planner, its own allocations, its kernels."""
