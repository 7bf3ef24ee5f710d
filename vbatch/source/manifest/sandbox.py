"""Jinja2's sandbox, where a template can neither fill the memory nor go on for ever.

Jinja2 itself keeps templates from Python's insides. Here every value on the way is weighed, what
multiplies sizes is refused before it is done, and loops and calls come out of one allowance.
"""

from __future__ import annotations

import re
from functools import wraps
from typing import TYPE_CHECKING, Any

from jinja2 import StrictUndefined, nodes, pass_context
from jinja2.compiler import CodeGenerator
from jinja2.sandbox import ImmutableSandboxedEnvironment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from jinja2.compiler import Frame
    from jinja2.runtime import Context

MAX_CHARS = 1 << 20
"""A rendered prompt longer than this is a template gone wrong, not a prompt."""
ALLOWANCE = " allowance"
"""Where a rendering's allowance stands in its context; no name in a template has a blank."""

_MAX_WEIGHT = 1 << 22
"""Of any value on the way to the prompt: about its characters, and more for each element."""
_WEIGHT_OF_ELEMENT = 16
_MAX_PRODUCT = 1 << 24
_MAX_SLOWLY = 1 << 16
_MAX_STEPS = 1 << 17
_WEIGHT_PER_STEP = 256
_MAX_POWER = 64
_MAX_BITS = 1 << 16
_MULTIPLYING = frozenset(
    {"replace", "join", "translate", "expandtabs", "indent", "format", "format_map"}
)
"""Filters and methods of text whose result can be as long as one argument times another."""
_FORMATS = frozenset({"format", "format_map"})
_SLOW = frozenset({"wordwrap", "pprint", "urlize"})
"""Filters whose time grows faster than what they are given."""
_WIDE = re.compile(r"%(?:\([^)]*\))?[^a-zA-Z%]*(?:[0-9]{5}|\*)|\{[^{}]*:[^{}]*(?:[0-9]{5}|\{)")
"""A width in a format that makes too much, or that cannot be seen."""


class Allowance:
    """How many loops and calls one rendering has left; handling what is large takes more."""

    def __init__(self) -> None:
        self._left = _MAX_STEPS

    def spend(self, weight: int = 0) -> None:
        """Take for one step with so much in hand; raises OverflowError when nothing is left."""
        self._left -= 1 + weight // _WEIGHT_PER_STEP
        if self._left < 0:
            raise OverflowError(f"more than {_MAX_STEPS} loops and calls")


class _Generator(CodeGenerator):
    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:  # noqa: N802 - jinja2's name
        self.write("environment.joined(context, (")
        for part in node.nodes:
            self.visit(part, frame)
            self.write(", ")
        self.write("))")


class Sandbox(ImmutableSandboxedEnvironment):
    """The environment of all templates. ``finalize`` is called with every value printed."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})
    code_generator_class = _Generator

    def __init__(self, finalize: Callable[[Any], Any]) -> None:
        super().__init__(
            undefined=StrictUndefined,
            finalize=lambda value: finalize(_printed(value)),
            autoescape=False,  # prompts are plain text, not HTML
            keep_trailing_newline=True,
            optimized=False,  # nothing is worked out before there is an allowance
        )
        self.filters = {name: _limited(name, act) for name, act in self.filters.items()}
        self.filters["each"] = _each

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        for loop in list(tree.find_all(nodes.For)):
            loop.iter = nodes.Filter(loop.iter, "each", [], [], None, None, lineno=loop.lineno)
        tree.set_environment(self)
        return tree

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Do what an operator says, unless it makes too much."""
        _spend(context, [left, right])
        _check_operation(operator, left, right)
        return super().call_binop(context, operator, left, right)

    def call(self, context: Context, called: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call what a template calls: a method of a value, a macro, ``range``."""
        method = getattr(called, "__wrapped__", called)
        owner = getattr(method, "__self__", None)
        _spend(context, [owner if isinstance(owner, str) else "", *args, *kwargs.values()])
        if isinstance(owner, str):
            _check_call(method.__name__, owner, [*args, *kwargs.values()])
        return super().call(context, called, *args, **kwargs)

    @staticmethod
    def joined(context: Context, parts: tuple[Any, ...]) -> str:
        """What ``a ~ b`` makes."""
        _spend(context, parts)
        return "".join(map(str, parts))


@pass_context
def _each(context: Context, values: Iterable[Any]) -> Iterator[Any]:
    allowance = context.parent[ALLOWANCE]
    for value in values:
        allowance.spend()
        yield value


def _limited(name: str, act: Callable[..., Any]) -> Callable[..., Any]:
    """A filter that is given nothing too large and gives nothing too large."""
    wanted = getattr(act, "jinja_pass_arg", None)

    @pass_context
    @wraps(act)
    def limited(context: Context, value: Any, *args: Any, **kwargs: Any) -> Any:
        others = [*args, *kwargs.values()]
        _spend(context, [value, *others])
        _check_call(name, value, others)
        given = {"eval_context": context.eval_ctx, "environment": context.environment}
        own = () if wanted is None else (given.get(wanted.name, context),)
        made = act(*own, value, *args, **kwargs)
        _spend(context, (made,))
        return made

    return limited


def _spend(context: Context, values: Sequence[Any]) -> None:
    """Take what handling ``values`` costs, unless they are too large to be handled at all."""
    weight = sum(map(_weight, values))
    if weight > _MAX_WEIGHT:
        raise OverflowError("a value grows too large")
    context.parent[ALLOWANCE].spend(weight)


def _check_operation(operator: str, left: Any, right: Any) -> None:
    if operator == "**" and abs(right) > _MAX_POWER:
        raise OverflowError(f"a power of {right} makes too much")
    if isinstance(left, int) and isinstance(right, int):
        if left.bit_length() + right.bit_length() > _MAX_BITS:
            raise OverflowError("such a number is too large")
    elif operator == "*" and (hasattr(left, "__len__") or hasattr(right, "__len__")):
        value, times = (left, right) if hasattr(left, "__len__") else (right, left)
        if (len(value) if isinstance(value, str) else _weight(value)) * times > MAX_CHARS:
            raise OverflowError("a repetition makes too much")
    elif operator == "%" and isinstance(left, str):
        _check_call("format", left, [right])


def _check_call(name: str, value: Any, others: Sequence[Any]) -> None:
    if name in _FORMATS and isinstance(value, str) and _WIDE.search(value):
        raise OverflowError("a format with such a width makes too much")
    sizes = [abs(other) for other in others if isinstance(other, int)]
    if sizes and max(sizes) > MAX_CHARS:
        raise OverflowError(f"{max(sizes)} makes too much")
    if name in _MULTIPLYING and _weight(value) * (_weight(others) + sum(sizes)) > _MAX_PRODUCT:
        raise OverflowError(f"{name} makes too much")
    if name in _SLOW and _weight(value) > _MAX_SLOWLY:
        raise OverflowError(f"{name} takes too long")


def _printed(value: Any) -> Any:
    if type(value) is not str and _weight(value) > MAX_CHARS:
        raise OverflowError(f"more than {MAX_CHARS} characters")
    return value


def _weight(value: Any) -> int:
    """About the characters that ``value`` would be printed as; too many are not counted on."""
    if type(value) is str:
        return len(value)
    total, waiting = 1, [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, (str, bytes)):
            total += len(one)
        elif isinstance(one, int):
            total += one.bit_length() // 3
        elif isinstance(one, (list, tuple, set, frozenset, dict)):
            total += len(one) * _WEIGHT_OF_ELEMENT
            if total > _MAX_WEIGHT:
                break
            waiting += [*one, *one.values()] if isinstance(one, dict) else one
    return total
