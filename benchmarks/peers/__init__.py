"""Other ways to the same answers, measured on the same rows: ``python -m benchmarks.peers``."""
