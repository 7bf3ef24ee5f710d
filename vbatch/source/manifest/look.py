"""What a scan wants to know of every row."""

from __future__ import annotations

import re
from itertools import zip_longest
from typing import TYPE_CHECKING

from vbatch.source.manifest.refs import BadValue, embedded_path, is_remote

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from vbatch.records import JsonValue
    from vbatch.source.manifest.carry import Survey
    from vbatch.source.manifest.layout import Layout
    from vbatch.source.manifest.raw import RawRow
    from vbatch.source.manifest.rows import Claimer

OUR_ID_CHARS = 36
_OURS = re.compile(r"row-[0-9a-f]{32}")


class Look:
    """Gathers types and counts while rows go by. ``remote_images``: rows with an http(s) image.

    Rows without an id are told apart by a quick hash of what they ask. That misses a row which
    bears, as its own, the id that another one would be given: where both kinds of row were seen,
    ``is_unsure`` says so, and a look that is ``exact`` has to follow.
    """

    def __init__(
        self, layout: Layout, survey: Survey, claimer: Claimer, *, exact: bool = False
    ) -> None:
        self.layout = layout
        self.survey = survey
        self.remote_images = 0
        self.exact = exact
        self._saw_ours = self._saw_none = False
        self._claimer = claimer
        self._plain_hash = claimer.plain_hash
        self._image = layout.image[0]
        self._images = layout.images

    def see_images_of(self, values: Mapping[str, JsonValue], image: JsonValue) -> None:
        """Take one row's images into account; ``image`` is its value in the first image column."""
        if type(image) is str:
            self.remote_images += is_remote(image)
        else:
            several = values.get(self._images)
            self.remote_images += is_remote(self._claimer.image(values)) or is_remote(several)

    def see_images(self, columns: Mapping[str, Sequence[JsonValue]]) -> None:
        """Take the image columns of several rows into account."""
        image, images = columns.get(self._image, ()), columns.get(self._images, ())
        self.remote_images += sum(
            is_remote(one) or is_remote(several) for one, several in zip_longest(image, images)
        )

    def known_id(self, values: Mapping[str, JsonValue], *, embedded: bool) -> str | None:
        """The id that the row bears, or its embedded image's path; None: look at it closely.

        ``embedded``: the image column is a struct with bytes, which are left out of ``values``.
        """
        try:
            given = self._claimer.given_id(values)
        except BadValue:
            return None
        if given is None and embedded:
            image = values.get(self._image)
            return embedded_path({**image, "bytes": None}) if type(image) is dict else None
        return given

    @property
    def is_unsure(self) -> bool:
        """Whether an id may stand for a row that bears none."""
        return self._saw_ours and self._saw_none

    @property
    def content_columns(self) -> frozenset[str]:
        """All that ``content`` has to be given."""
        return self._claimer.content_columns

    def see_ids(self, given: Iterable[str]) -> None:
        """Ids, one of which is as long as ours."""
        self._saw_ours |= any(map(_OURS.fullmatch, given))

    def plain(self, values: Mapping[str, JsonValue], image: JsonValue) -> int | None:
        """``claim`` of a row without an id that asks nothing unusual; None for any other."""
        self._saw_none = True
        return None if self.exact else self._plain_hash(values, image)

    def claim(self, raw: RawRow) -> int:
        """The hash by which a row is known that bears no plain id."""
        self._saw_none = True
        if self.exact:
            return hash(self._claimer.claim(raw).id)
        return self._claimer.hash_of(raw)

    def content(self, values: Mapping[str, JsonValue]) -> int | None:
        """The same for a row that bears none at all; None: it has to be read whole."""
        self._saw_none = True
        return None if self.exact else self._claimer.content_hash(values)
