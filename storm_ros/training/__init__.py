"""Training of the learned parts: scenes from the simulator, shards on disk, the loops."""
