"""Jinja templates that end: a sandbox that also counts the work of a template (all steps).

Jinja's sandbox hides Python from a template, but lets it loop and multiply without end. Here loops, calls and texts
that are made are counted against a budget for each rendering.
"""

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

_MOST_WORK = (
    50_000_000  # characters made, and 50 for each pass of a loop and each call; a long prompt takes 100,000
)
_STEP = 50
_MOST_NUMBER = 10_000  # of an argument: the width of a centred text, the number of rows of a batch
_MOST_BITS = 10_000  # of a whole number
_WIDE = re.compile(r"\d{5}")  # a width in a format: matches %100000d and {:>100000}
_COUNTED, _JOINED = "_counted", "_joined"  # filters that the parser adds


class TooMuchWork(jinja2.TemplateError):
    """A template went over its budget."""


class BoundedEnvironment(ImmutableSandboxedEnvironment):
    """A sandbox with a budget: rendering raises TooMuchWork instead of going on for ever or filling the memory.

    Call `start` before each rendering. A template cannot change the values that it is given.
    """

    intercepted_binops = frozenset(["+", "*", "**", "%"])

    def __init__(self, **settings: Any) -> None:
        """`settings` are those of jinja2.Environment."""
        # finalize is called with every value that is printed
        super().__init__(finalize=self._measured, **settings)
        del self.globals["lipsum"]
        for name, function in list(self.filters.items()):
            self.filters[name] = self._bounded(name, function)
        self.filters |= {_COUNTED: self._counted, _JOINED: self._joined}
        self._left = _MOST_WORK

    def start(self) -> None:
        """A new budget."""
        self._left = _MOST_WORK

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree: nodes.Template = _Counting().visit(super()._parse(source, name, filename))
        tree.set_environment(self)
        return tree

    def _spend(self, work: int) -> None:
        self._left -= work
        if self._left < 0:
            raise TooMuchWork("this template never ends, or makes a text beyond all limits")

    def _measured(self, value: Any) -> Any:
        """`value`, after its size was taken off the budget; parts that it repeats count each time."""
        waiting = [value]
        while waiting:
            one = waiting.pop()
            if isinstance(one, str):
                self._spend(len(one))
            elif isinstance(one, int) and one.bit_length() > _MOST_BITS:
                self._spend(_MOST_WORK + 1)
            elif isinstance(one, dict):
                self._spend(_STEP * len(one))
                waiting += [*one, *one.values()]
            elif isinstance(one, list | tuple | set):
                self._spend(_STEP * len(one))
                waiting += one
        return value

    def _counted(self, values: Iterable[Any]) -> Iterator[Any]:
        for value in values:
            self._spend(_STEP)
            yield value

    def _joined(self, parts: Sequence[Any]) -> str:
        return "".join(str(self._measured(part)) for part in parts)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Called by jinja2 for the operators above."""
        if operator == "*":
            for text, times in ((left, right), (right, left)):
                if isinstance(times, int) and isinstance(text, str | bytes | list | tuple):
                    self._spend(len(text) * max(0, times))
        elif operator == "**" and isinstance(left, int) and isinstance(right, int):
            self._spend(left.bit_length() * max(0, right) * _STEP)
        elif operator == "%" and isinstance(left, str):
            self._check_format(left)
        return self._measured(super().call_binop(context, operator, left, right))

    def call(__self, __context: Any, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        """Called by jinja2 for every call; its names are jinja2's, so that no keyword of a template is one of them."""
        __self._spend(_STEP)
        # jinja2 wraps a text's format method; what it wraps knows the text
        method = getattr(__obj, "__wrapped__", __obj)
        of = getattr(method, "__self__", None)
        if isinstance(of, str | bytes):
            args = __self._with_lists(method.__name__, args)
            __self._check_call(method.__name__, of, args, kwargs)
        return super().call(__context, __obj, *args, **kwargs)

    def _bounded(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The filter with its arguments checked; how jinja2 calls it stays as it is."""

        @functools.wraps(function)
        def bounded(*args: Any, **kwargs: Any) -> Any:
            args = self._with_lists(name, args)
            # a filter may be handed a context of jinja2's before the value
            contexts = (jinja2.Environment, jinja2.runtime.Context, nodes.EvalContext)
            given = [one for one in args if not isinstance(one, contexts)]
            self._spend(_STEP)
            for one in given:
                self._measured(one)
            self._check_call(name, given[0] if given else "", given[1:], kwargs)
            return function(*args, **kwargs)

        return bounded

    def _with_lists(self, name: str, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """What `join` is given, with iterators as lists, so that their parts can be counted."""
        if name != "join":
            return args
        return tuple(list(self._counted(one)) if isinstance(one, Iterator) else one for one in args)

    def _check_call(self, name: str, value: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
        """Take what a method of a text, or a filter, may make off the budget, and refuse widths without end."""
        for one in (*args, *kwargs.values()):
            if isinstance(one, int) and abs(one) > _MOST_NUMBER and name not in ("truncate", "default"):
                raise TooMuchWork(
                    f"{name} with the number {one if one.bit_length() < 64 else '…'}, which is too large"
                )
        if name in ("format", "format_map") and isinstance(value, str):
            self._check_format(value)
        elif name == "replace" and isinstance(value, str) and len(args) > 1:
            old, new = str(args[0]), str(args[1])
            self._spend(len(value) + (value.count(old) if old else len(value) + 1) * len(new))
        elif name == "join" and args:
            parts, between = (args[0], value) if isinstance(value, str) else (value, args[0])
            self._spend(len(str(between)) * (len(parts) if hasattr(parts, "__len__") else 1))
        elif name in ("indent", "expandtabs") and isinstance(value, str):
            width = next((one for one in (*args, *kwargs.values()) if isinstance(one, int)), 8)
            self._spend((value.count("\n") + value.count("\t") + 1) * abs(width))

    def _check_format(self, text: str) -> None:
        if _WIDE.search(text) or "*" in text:
            raise TooMuchWork("a format with a width of five digits or more, or with *")


class _Counting(NodeTransformer):
    """Puts the filters that count around what loops go through and what `~` joins."""

    def visit_For(self, node: nodes.For) -> nodes.For:
        """Called for every loop."""
        self.generic_visit(node)
        node.iter = _filtered(node.iter, _COUNTED)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Filter:
        """Called for every `~`."""
        self.generic_visit(node)
        return _filtered(nodes.List(node.nodes).set_lineno(node.lineno), _JOINED)


def _filtered(node: Any, name: str) -> nodes.Filter:
    found = nodes.Filter(node, name, [], [], None, None)
    found.set_lineno(node.lineno)
    return found


class GenerationBlocks(Extension):
    """Reads `{% generation %}` of chat templates, which marks the assistant's text for training, as its content."""

    tags = {"generation"}  # noqa: RUF012

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """Called at the tag."""
        next(parser.stream)
        found: list[nodes.Node] = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return found


def template_line(error: BaseException) -> str:
    """`line 3: ` of the template whose rendering raised `error`, empty where it is not known."""
    line, trace = 0, error.__traceback__
    while trace is not None:
        # how jinja2 names a template that was not loaded from a file
        if trace.tb_frame.f_code.co_filename == "<template>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return f"line {line}: " if line else ""
