"""``python -m vbatch`` is ``vbatch``."""

from vbatch.cli import main

main()
