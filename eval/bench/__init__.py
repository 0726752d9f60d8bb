"""Benchmarks of the whole vertical; each prints one Markdown table: `python -m eval.bench.NAME --help`."""
