"""What a row asks, and by what it is known to ask the same as before."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from vbatch.columns import exact
from vbatch.records import ImageSource, JsonValue  # noqa: TC001 - NamedTuple resolves it
from vbatch.source.manifest.batch import last_words, unsigned_body
from vbatch.source.manifest.layout import BODY
from vbatch.source.manifest.params import object_of, params_of
from vbatch.source.manifest.raw import digest
from vbatch.source.manifest.refs import (
    BadValue,
    identity,
    images_of,
    kind_of,
    unsigned,
    without_bytes,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from vbatch.source.manifest.layout import Layout
    from vbatch.source.manifest.templates import Template


_NONE: frozenset[str] = frozenset()
_TEXT = frozenset((str, type(None)))


class Asks(NamedTuple):
    """What stands in the row itself; None where the job's own is used."""

    images: tuple[ImageSource, ...]
    prompt: str | None
    system: str | None
    params: dict[str, JsonValue]
    body: dict[str, JsonValue] | None


class Uses(NamedTuple):
    """The columns that the job's templates look up."""

    prompt: frozenset[str] = frozenset()
    system: frozenset[str] = frozenset()

    def names(self) -> tuple[str, ...]:
        """As a run keeps them: ``prompt:caption``."""
        return (
            *(f"prompt:{name}" for name in sorted(self.prompt)),
            *(f"system:{name}" for name in sorted(self.system)),
        )

    @classmethod
    def of(cls, names: Iterable[str]) -> Uses:
        """What ``names`` wrote."""
        pairs = [name.partition(":") for name in names]
        return cls(
            *(frozenset(name for key, _, name in pairs if key == part) for part in cls._fields)
        )


class Reader:
    """Reads what rows ask. ``before`` are the uses of the run's earlier jobs, oldest first."""

    def __init__(
        self,
        layout: Layout,
        prompt: Template | None,
        system: Template | None,
        before: Sequence[Uses] = (),
    ) -> None:
        self._layout = layout
        self._prompt = prompt
        self._system = system
        self._canonical = layout.canonical()
        self._pictures = {*layout.image, layout.images}
        self._now = uses(prompt, system)
        self._first = before[0] if before else self._now
        self._former = tuple(use for use in dict.fromkeys(before) if use != self._now)
        self._is_first = self._first == self._now
        self._rare = [name for name in (layout.images, layout.params, layout.body) if name]
        self._uncommon = frozenset((*layout.id, *self._rare))
        self._looked_up = self._first.prompt | self._first.system

    def asks(self, values: Mapping[str, JsonValue], image: JsonValue) -> Asks:
        """What the row with this ``image`` says; BadValue where it says nothing usable."""
        if self._has_body(values):
            return Asks((), None, None, {}, object_of(values[BODY], BODY))
        return self._words(values, images_of(image, values.get(self._layout.images)))

    def _has_body(self, values: Mapping[str, JsonValue]) -> bool:
        return self._layout.body is not None and values.get(self._layout.body) is not None

    def _words(self, values: Mapping[str, JsonValue], images: tuple[ImageSource, ...]) -> Asks:
        lay = self._layout
        return Asks(
            images,
            None if lay.prompt is None else _text(values.get(lay.prompt), "prompt"),
            None if lay.system is None else _text(values.get(lay.system), "system"),
            {} if lay.params is None else params_of(values.get(lay.params)),
            None,
        )

    def image(self, values: Mapping[str, JsonValue]) -> JsonValue:
        """The value of the image column, under the first of its names that the row has."""
        names = self._layout.image
        if names[0] in values or self._layout.images in values:
            return values.get(names[0])
        return next((values[name] for name in names if name in values), None)

    def digest(self, asks: Asks, values: Mapping[str, JsonValue]) -> str:
        """By what the row is known to ask the same."""
        return self._digest(asks, values, self._now)

    def id_digest(self, asks: Asks, values: Mapping[str, JsonValue], digest: str) -> str:
        """What an id is made from: the digest under the run's first job, so that ids last."""
        return digest if self._is_first else self._digest(asks, values, self._first)

    def plain_digest(self, values: Mapping[str, JsonValue], image: JsonValue) -> str | None:
        """Both digests of a row of one reference and texts, without taking it apart; else None.

        Most rows are such.
        """
        prompt, system = self._own_texts(values)
        if not self._is_first or not self._is_plain(values, image, prompt, system):
            return None
        used = self._used(prompt, system, values, self._now) if self._looked_up else {}
        return _digest_of([[unsigned(image), None]], prompt, system, {}, used, None)

    def plain_hash(self, values: Mapping[str, JsonValue], image: JsonValue) -> int | None:
        """``content_hash`` of a row that bears no id, nor anything rare; else None.

        Without ids a scan needs it of every row: it is a tenth of the price of ``digest``.
        """
        if type(image) is not str or not image or not self._uncommon.isdisjoint(values):
            return None
        prompt, system = self._own_texts(values)
        if self._looked_up or type(prompt) not in _TEXT or type(system) not in _TEXT:
            return None
        return hash((unsigned(image) if "?" in image else image, prompt, system, None))

    def content_hash(self, values: Mapping[str, JsonValue], image: JsonValue) -> int:
        """Equal for rows whose ``id_digest`` is: a fifth of its price, and what a scan looks for.

        Raises:
            BadValue: the row says nothing usable.
        """
        prompt, system = self._own_texts(values)
        if self._is_plain(values, image, prompt, system):
            return self._hash_of(unsigned(image), prompt, system, values)
        asks = self.asks(values, image)
        if asks.body is None and not asks.params and len(asks.images) == 1:
            ref, detail = identity(asks.images[0])
            if detail is None and type(ref) is str:
                return self._hash_of(ref, asks.prompt, asks.system, values)
        return hash(self._digest(asks, values, self._first))

    @property
    def content_columns(self) -> frozenset[str]:
        """The manifest's own names of all columns that ``content_hash`` looks at."""
        lay = self._layout
        names = {*lay.image, lay.images, lay.prompt, lay.system, lay.params, lay.body, *lay.id}
        return frozenset(name for name in {*names, *self._looked_up} if name is not None)

    def _hash_of(
        self, ref: str, prompt: str | None, system: str | None, values: Mapping[str, JsonValue]
    ) -> int:
        used = self._used(prompt, system, values, self._first)
        return hash((ref, prompt, system, _dumped(used) if used else None))

    def _is_plain(
        self,
        values: Mapping[str, JsonValue],
        image: JsonValue,
        prompt: JsonValue,
        system: JsonValue,
    ) -> bool:
        for name in self._rare:
            if values.get(name) is not None:
                return False
        return type(image) is str and image != "" and {type(prompt), type(system)} <= _TEXT

    def _own_texts(self, values: Mapping[str, JsonValue]) -> tuple[JsonValue, JsonValue]:
        lay = self._layout
        return (
            None if lay.prompt is None else values.get(lay.prompt),
            None if lay.system is None else values.get(lay.system),
        )

    def former_digests(self, asks: Asks, values: Mapping[str, JsonValue]) -> tuple[str, ...]:
        """The digests under the run's earlier jobs, where they differ."""
        return tuple(self._digest(asks, values, use) for use in self._former)

    def texts(self, asks: Asks, values: Mapping[str, JsonValue]) -> tuple[str | None, str | None]:
        """Prompt and system as they will be sent; BadValue where there is no prompt."""
        if asks.body is not None:
            return last_words(asks.body), None
        prompt = self._rendered(asks.prompt, self._prompt, values)
        if prompt is None:
            raise BadValue("no prompt: the row has none and the job has no [request] prompt")
        if not prompt.strip():
            raise BadValue("the prompt is empty")
        return prompt, self._rendered(asks.system, self._system, values) or None

    @property
    def columns(self) -> frozenset[str]:
        """The columns that the job's templates look up."""
        return self._now.prompt | self._now.system

    def trial(self, values: Mapping[str, JsonValue]) -> str | None:
        """What fails when the templates are filled from a row, whatever its images; None: nothing.

        Raises:
            BadValue: the row itself is wrong, which says nothing of the templates.
        """
        if self._has_body(values):
            return None
        asks = self._words(values, ())
        try:
            self._rendered(asks.prompt, self._prompt, values)
            self._rendered(asks.system, self._system, values)
        except BadValue as e:
            return str(e)
        return None

    def _rendered(
        self, own: str | None, template: Template | None, values: Mapping[str, JsonValue]
    ) -> str | None:
        if own is not None or template is None:
            return own
        return template.render(self._variables(values, template.columns), there=values)

    def _variables(
        self, values: Mapping[str, JsonValue], names: Iterable[str]
    ) -> dict[str, JsonValue]:
        found = {}
        for name in names:
            own = name if name in values else self._canonical.get(name)
            if own is not None and own in values:
                value = values[own]
                found[name] = without_bytes(value) if own in self._pictures else value
        return found

    def _digest(self, asks: Asks, values: Mapping[str, JsonValue], use: Uses) -> str:
        if asks.body is not None:
            return _digest_of([], None, None, {}, {}, unsigned_body(asks.body))
        images = [identity(source) for source in asks.images]
        used = self._used(asks.prompt, asks.system, values, use)
        return _digest_of(images, asks.prompt, asks.system, asks.params, used, None)

    def _used(
        self, prompt: str | None, system: str | None, values: Mapping[str, JsonValue], use: Uses
    ) -> dict[str, JsonValue]:
        """The columns that the templates look up for this row; null is as good as not there."""
        names = (_NONE if prompt is not None else use.prompt) | (
            _NONE if system is not None else use.system
        )
        if not names:
            return {}
        used = self._variables(values, names)
        return {name: value for name, value in used.items() if value is not None}


def _digest_of(*content: JsonValue) -> str:
    """The digest of images, prompt, system, params, used columns and body."""
    return digest(_dumped(content))


def _dumped(content: JsonValue) -> bytes:
    try:
        return exact.dumps(content, sort=True)
    except TypeError as e:
        raise BadValue(f"a value cannot be used: {e}") from e


def uses(prompt: Template | None, system: Template | None) -> Uses:
    """The columns that two templates look up."""
    return Uses(*(t.columns if t else frozenset() for t in (prompt, system)))


def _text(value: JsonValue, name: str) -> str | None:
    if value is None or type(value) is str:
        return value
    raise BadValue(f"{name} must be text, not {kind_of(value)}")
