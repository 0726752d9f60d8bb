"""Is it good enough: datasets, measures, reports, benchmarks. Import the modules: `from eval.run import ...`."""
