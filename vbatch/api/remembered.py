"""What a run remembers of its manifest: in a file that did not change, a row's number says all.

Its answered rows are passed over without being parsed, and as long as no file of the manifest
changed, nothing is scanned again. It is an aid, in a small file that may be lost without harm:
whatever it does not vouch for is read, and looked up by id and digest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vbatch.api.numbering import composed, moved
from vbatch.errors import JournalError
from vbatch.sink.kept import read_json, sealed
from vbatch.sink.storage import Storage, put
from vbatch.source.manifest import Memo

if TYPE_CHECKING:
    from pathlib import Path

    from vbatch.api.numbering import Reading
    from vbatch.clock import Clock
    from vbatch.records import ManifestScan
    from vbatch.sink.history import History, Span
    from vbatch.source.manifest import KeptSchemas, Manifest


MOST_SPANS = 100_000
"""Beyond, the oldest invocations are forgotten: their rows are looked up."""


class Remembered:
    """``hidden``: the run's own folder. ``invocation`` is the one that reads the manifest now."""

    def __init__(self, hidden: Path, invocation: str, clock: Clock) -> None:
        self._path = hidden / "manifest.json"
        self._invocation = invocation
        self._clock = clock
        self._stored = _read(self._path)
        self._places: list[str | None] = []

    def scan(self, manifest: Manifest, *, kept: KeptSchemas | None) -> ManifestScan:
        """What ``manifest.scan`` says, from memory if no file has changed since."""
        self._manifest = manifest
        before = manifest.places(self._clock.time())
        memo = self._memo(manifest, before)
        self._scan = manifest.scan(kept=kept, memo=memo)
        after = manifest.places(self._clock.time())
        if memo is not None and before != after:
            self._scan = manifest.scan(kept=kept)
            before = ()
        self._places = [None] * len(self._scan.files)
        if len(before) == len(after) == len(self._places):
            self._places = [a if a == b else None for a, b in zip(before, after, strict=True)]
        return self._scan

    def done(self, history: History) -> bytes | None:
        """A byte for each row, 1 for those that are answered by what their number says.

        To be called before this invocation records anything: it is noted where its rows are from.
        """
        layout = self._manifest.layout_digest
        reading: Reading = [
            (place and f"{place}-{layout}", file.rows)
            for place, file in zip(self._places, self._scan.files, strict=True)
        ]
        earlier = self._earlier(reading)
        self._keep(reading, earlier)
        return history.answered_rows(earlier, self._scan.rows) if earlier else None

    def _earlier(self, reading: Reading) -> dict[str, list[Span]]:
        """How the rows are numbered now that earlier invocations read, by invocation."""
        try:
            since = moved([(place, rows) for place, rows in self._stored["reading"]], reading)
            spans = {name: composed(each, since) for name, each in self._stored["numbers"].items()}
        except (LookupError, TypeError, ValueError, AttributeError):
            return {}
        return {name: each for name, each in spans.items() if each}

    def _keep(self, reading: Reading, earlier: dict[str, list[Span]]) -> None:
        numbers = {**earlier, self._invocation: moved(reading, reading)}
        excess = sum(map(len, numbers.values())) - MOST_SPANS
        while excess > 0:
            excess -= len(numbers.pop(next(iter(numbers))))
        fields = {
            "reading": reading,
            "numbers": numbers,
            "places": self._places,
            "asks": self._manifest.asks_digest,
            "memo": self._manifest.memo().to_json(),
        }
        put(Storage(), self._path, sealed(fields))

    def _memo(self, manifest: Manifest, places: tuple[str | None, ...]) -> Memo | None:
        stored = self._stored
        if None in places or list(places) != stored.get("places"):
            return None
        if manifest.asks_digest != stored.get("asks"):
            return None
        try:
            return Memo.from_json(stored["memo"])
        except (LookupError, TypeError, ValueError):
            return None


def _read(path: Path) -> dict[str, Any]:
    try:
        return read_json(path) if path.is_file() else {}
    except (JournalError, OSError):
        return {}
