"""Benchmarks: each figure with the command that makes it, as ratios within one run, interleaved, with their spread."""
