"""What the benchmarks share: arguments, figures with targets, timing, and runs over recordings."""
