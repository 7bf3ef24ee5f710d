"""vbatch: ask a vision model about many images. Manifest in, Parquet out, nothing paid twice.

::

    import vbatch

    usd = vbatch.estimate("captions.toml").cost      # before anything is sent
    summary = vbatch.run("captions.toml")            # blocks, also inside a notebook
    summary = await vbatch.arun("captions.toml")     # inside a running loop
    async with contextlib.aclosing(vbatch.stream("captions.toml")) as outcomes:
        async for outcome in outcomes:               # left early, it waits for what was asked
            ...
    table = vbatch.open_run("runs/captions").results()   # Arrow; .failures(), .usage() likewise

The house, from the top: ``cli`` (verbs); ``api`` (the same as functions), ``progress``; ``engine``
(drives); ``source`` (in), ``endpoint`` (ask), ``sink`` (out), ``server`` (the built-in endpoint);
``state``; ``job``; ``profile``, ``columns``; ``records``; ``errors``, ``clock``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vbatch.version import __version__

if TYPE_CHECKING:
    from vbatch.api import arun, estimate, open_run, retry, run, stream

__all__ = ["__version__", "arun", "estimate", "open_run", "retry", "run", "stream"]


def __getattr__(name: str) -> Any:
    """Import the api when it is first used, so that importing vbatch is cheap."""
    if name in __all__:
        from vbatch import api  # noqa: PLC0415 - that is the point

        return getattr(api, name)
    raise AttributeError(f"module 'vbatch' has no attribute {name!r}")
