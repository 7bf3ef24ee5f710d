"""vbatch: ask a vision model about many images."""
