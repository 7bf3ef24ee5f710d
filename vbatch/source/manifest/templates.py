"""Prompts made from a row's columns: Jinja2 in a sandbox, undefined is an error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jinja2
from jinja2 import meta, nodes

from vbatch.errors import JobError
from vbatch.source.manifest.refs import BadValue
from vbatch.source.manifest.sandbox import ALLOWANCE, MAX_CHARS, Allowance, Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from vbatch.records import JsonValue

_MARKS = ("{{", "{%", "{#")
_LOADING = (nodes.Include, nodes.Extends, nodes.Import, nodes.FromImport)


class Template:
    """One of the job's templates. ``where`` is its key in the job file.

    ``columns`` are the names it looks up in the row.

    Raises:
        JobError: it cannot be read, or wants to load other templates.
    """

    def __init__(self, source: str, *, where: str) -> None:
        self.where = where
        self._literal = source if not any(mark in source for mark in _MARKS) else None
        try:
            tree = _ENVIRONMENT.parse(source)
            self.columns = frozenset(meta.find_undeclared_variables(tree)) - _GLOBALS.keys()
            self._template = _ENVIRONMENT.from_string(source)
        except jinja2.TemplateSyntaxError as e:
            raise JobError(f"{where}: line {e.lineno} of the template: {e.message}") from e
        except (RecursionError, MemoryError, OverflowError) as e:
            raise JobError(f"{where}: the template is nested too deeply") from e
        if next(tree.find_all(_LOADING), None) is not None:
            raise JobError(f"{where}: a template cannot include, extend or import another")

    def render(self, values: Mapping[str, JsonValue], *, there: Iterable[str]) -> str:
        """The text for one row. ``values`` are those it looks up, ``there`` all columns of the row.

        Raises:
            BadValue: it fails for this row; says why and which columns the row has.
        """
        if self._literal is not None:
            return self._literal
        try:
            return self._limited(values)
        except Exception as e:  # a template can raise anything that Python can
            reason = str(e) or type(e).__name__
            names = ", ".join(there) or "none"
            raise BadValue(f"{self.where}: {reason}; columns of this row: {names}") from e

    def _limited(self, values: Mapping[str, JsonValue]) -> str:
        parts: list[str] = []
        left = MAX_CHARS
        given = {**_GLOBALS, **values, ALLOWANCE: Allowance()}
        context = self._template.new_context(given, shared=True)
        for part in self._template.root_render_func(context):
            parts.append(part)
            left -= len(part)
            if left < 0:
                raise OverflowError(f"more than {MAX_CHARS} characters")
        return "".join(parts)


def _printable(value: Any) -> Any:
    """Refuse to print null: "None" in a prompt is paid for and means nothing."""
    if value is None:
        raise jinja2.UndefinedError("a null value would be printed (default it: x or '')")
    return value


_ENVIRONMENT = Sandbox(finalize=_printable)
_GLOBALS = {name: _ENVIRONMENT.globals.pop(name) for name in ("range", "namespace")}
_ENVIRONMENT.globals.clear()
