"""Benchmarks: `make bench WHAT=mesh`. Each is a module with a `main` that measures on real servers and writes JSON."""
