"""Prompts made from a row's columns: Jinja2 in a sandbox, undefined is an error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jinja2
from jinja2 import StrictUndefined, meta, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from vbatch.errors import JobError
from vbatch.source.manifest.refs import BadValue

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from vbatch.records import JsonValue

MAX_CHARS = 1 << 20
"""A rendered prompt longer than this is a template gone wrong, not a prompt."""

_MAX_POWER = 64
_MARKS = ("{{", "{%", "{#")
_LOADING = (nodes.Include, nodes.Extends, nodes.Import, nodes.FromImport)


class _Sandbox(ImmutableSandboxedEnvironment):
    """Jinja2's sandbox, where a multiplication cannot fill the memory either."""

    intercepted_binops = frozenset({"*", "**"})

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        if operator == "**" and abs(right) > _MAX_POWER:
            raise OverflowError(f"a power of {right} makes too much")
        if operator == "*" and (hasattr(left, "__len__") or hasattr(right, "__len__")):
            size, times = (left, right) if hasattr(left, "__len__") else (right, left)
            if len(size) * times > MAX_CHARS:
                raise OverflowError("a repetition makes too much")
        return super().call_binop(context, operator, left, right)


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
        context = self._template.new_context({**_GLOBALS, **values}, shared=True)
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


def _environment() -> _Sandbox:
    return _Sandbox(
        undefined=StrictUndefined,
        finalize=_printable,
        autoescape=False,  # prompts are plain text, not HTML
        keep_trailing_newline=True,
    )


_ENVIRONMENT = _environment()
_GLOBALS = {name: _ENVIRONMENT.globals.pop(name) for name in ("range", "namespace")}
_ENVIRONMENT.globals.clear()
