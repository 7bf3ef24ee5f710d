"""Drives: rows in, events out. The worker asks one row; the pool runs many workers."""
