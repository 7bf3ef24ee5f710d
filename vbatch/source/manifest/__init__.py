"""Where rows come from: JSONL, Parquet or a folder of images.

``manifest`` puts it together. ``paths`` finds the files; ``jsonl``, ``tables`` and ``imagefolder``
read them as raw rows; ``layout`` knows which column means what; ``asks`` says what a row asks and
by which digest it is known; ``carry`` brings the other columns to their types; ``rows`` makes
items.
"""

from vbatch.source.manifest.folder import folder_rows, needs_root, write_manifest
from vbatch.source.manifest.manifest import KeptSchemas, Manifest
from vbatch.source.manifest.memo import Memo

__all__ = ["KeptSchemas", "Manifest", "Memo", "folder_rows", "needs_root", "write_manifest"]
