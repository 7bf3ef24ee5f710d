"""From a raw row to an item, or to what is wrong with it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

import orjson

from vbatch.records import BadRow, Item
from vbatch.source.manifest.carry import Carried
from vbatch.source.manifest.raw import digest
from vbatch.source.manifest.refs import BadValue, embedded_path, kind_of, without_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vbatch.records import JsonValue
    from vbatch.source.manifest.asks import Asks, Reader
    from vbatch.source.manifest.carry import Actions, Carrier
    from vbatch.source.manifest.layout import Layout
    from vbatch.source.manifest.raw import RawRow

_NOTHING = Carried({}, {}, None)


class Claim(NamedTuple):
    """The id a row would have, and the digest of what it asks.

    ``by_path``: the id is an embedded image's path, which holds only where no other row claims it.
    """

    id: str
    digest: str
    by_path: bool = False


class Claimer:
    """Tells by what rows are known."""

    def __init__(self, layout: Layout, reader: Reader) -> None:
        self._layout = layout
        self._reader = reader
        self.plain_hash = reader.plain_hash

    def image(self, values: Mapping[str, JsonValue]) -> JsonValue:
        """The value of the row's image column."""
        return self._reader.image(values)

    def given_id(self, values: Mapping[str, JsonValue]) -> str | None:
        """The id that stands in the row; BadValue if it is none, None if there is none."""
        for name in self._layout.id:
            value = values.get(name)
            if value is not None:
                if (type(value) is str and value) or type(value) is int:
                    return str(value)
                what = "empty" if value == "" else kind_of(value)
                raise BadValue(f"{name} must be text or an integer; it is {what}")
        return None

    def claim(self, raw: RawRow, *, path_is_unique: bool = True) -> Claim:
        """By what the row is known."""
        values = raw.values
        if values is None or raw.problem:
            return self._claim_of_bad(raw)
        plain = self.plain_claim(raw)
        if plain is not None:
            return plain
        try:
            image = self.image(values)
            asks = self._reader.asks(values, image)
            return self._claim(asks, values, image, path_is_unique=path_is_unique)
        except BadValue:
            return self._claim_of_bad(raw)

    def plain_claim(self, raw: RawRow) -> Claim | None:
        """``claim`` of a row of one reference and texts, for a third of an item's price."""
        values = raw.values
        if values is None or raw.problem:
            return None
        try:
            plain = self._reader.plain_digest(values, self._reader.image(values))
            if plain is None:
                return None
            return Claim(self.given_id(values) or f"row-{plain}", plain)
        except BadValue:
            return None

    def hash_of(self, raw: RawRow) -> int:
        """Equal for rows that claim the same id, as long as no id in the manifest is like ours."""
        values = raw.values
        if values is not None and not raw.problem:
            with suppress(BadValue):
                image = self._reader.image(values)
                if self.given_id(values) is None and embedded_path(image) is None:
                    return self._reader.content_hash(values, image)
        return hash(self.claim(raw).id)

    def content_hash(self, values: Mapping[str, JsonValue]) -> int | None:
        """``hash_of`` a row that bears no id and of which only what it asks was read.

        None: it cannot be told without the rest.
        """
        image = self._reader.image(values)
        try:
            return self.plain_hash(values, image) or self._reader.content_hash(values, image)
        except BadValue:
            return None

    @property
    def content_columns(self) -> frozenset[str]:
        """The manifest's own names of all columns that a row's id can be made from."""
        return self._reader.content_columns

    def _claim(
        self, asks: Asks, values: dict[str, JsonValue], image: JsonValue, *, path_is_unique: bool
    ) -> Claim:
        found = self._reader.digest(asks, values)
        given = self.given_id(values)
        if given is not None:
            return Claim(given, found, by_path=False)
        path = embedded_path(image) if path_is_unique else None
        if path is not None:
            return Claim(path, found, by_path=True)
        return Claim(f"row-{self._reader.id_digest(asks, values, found)}", found, by_path=False)

    def _claim_of_bad(self, raw: RawRow) -> Claim:
        found = digest(raw.raw.rstrip(b"\r\n") or _content(raw.values))
        try:
            given = self.given_id(raw.values or {})
        except BadValue:
            given = None
        return Claim(given or f"bad-{found}", found, by_path=False)


class Builder(Claimer):
    """Makes items."""

    def __init__(self, layout: Layout, reader: Reader, carrier: Carrier) -> None:
        super().__init__(layout, reader)
        self._carrier = carrier

    def build(
        self,
        raw: RawRow,
        actions: Actions,
        *,
        path_is_unique: bool = True,
        plain: Claim | None = None,
    ) -> Item | BadRow:
        """The row as an item, or as a bad row that says why it is none.

        ``plain``: its ``plain_claim``, where that is known.
        """
        if raw.values is None or raw.problem:
            return _bad(raw, raw.problem, self._claim_of_bad(raw), _NOTHING)
        carried, claim = _NOTHING, None
        values, reader = raw.values, self._reader
        try:
            image = reader.image(values)
            carried = self._carrier.carry(values, image, actions)
            asks = reader.asks(values, image)
            claim = plain or self._claim(asks, values, image, path_is_unique=path_is_unique)
            prompt, system = reader.texts(asks, values)
            return Item(
                id=claim.id,
                row=raw.row,
                images=asks.images,
                prompt=prompt,
                system=system,
                params=asks.params,
                body=asks.body,
                passthrough=carried.passthrough,
                extra=carried.extra,
                given=carried.given,
                row_digest=claim.digest,
                former_digests=reader.former_digests(asks, values),
                file=raw.file,
                line=raw.line,
            )
        except BadValue as e:
            return _bad(raw, str(e), claim or self._claim_of_bad(raw), carried)


def _content(values: dict[str, JsonValue] | None) -> bytes:
    """What stands in for the raw line of a Parquet row."""
    shown = {name: without_bytes(value) for name, value in (values or {}).items()}
    try:
        return orjson.dumps(shown, default=repr, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        return orjson.dumps(sorted(shown))


def _bad(raw: RawRow, message: str, claim: Claim, carried: Carried) -> BadRow:
    return BadRow(
        id=claim.id,
        row=raw.row,
        message=message,
        row_digest=claim.digest,
        passthrough=carried.passthrough,
        extra=carried.extra,
        given=carried.given,
        file=raw.file,
        line=raw.line,
    )
