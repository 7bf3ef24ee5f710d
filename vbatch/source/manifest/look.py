"""What a scan wants to know of every row."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING

from vbatch.source.manifest.refs import BadValue, embedded_path, is_remote

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vbatch.records import JsonValue
    from vbatch.source.manifest.carry import Survey
    from vbatch.source.manifest.layout import Layout
    from vbatch.source.manifest.raw import RawRow
    from vbatch.source.manifest.rows import Claimer


class Look:
    """Gathers types and counts while rows go by. ``remote_images``: rows with an http(s) image."""

    def __init__(self, layout: Layout, survey: Survey, claimer: Claimer) -> None:
        self.layout = layout
        self.survey = survey
        self.remote_images = 0
        self._claimer = claimer
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

    def claim(self, raw: RawRow) -> int:
        """The hash of the id that a row claims which bears none."""
        return hash(self._claimer.claim(raw).id)
