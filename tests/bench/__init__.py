"""Benchmarks of commands and hooks, in interleaved runs with other tools. Run by `make bench`."""
