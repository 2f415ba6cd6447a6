"""Step 2: reads pickles of tensors and arrays without running them.

Python's unpickler calls whatever a pickle names, with whatever arguments it gives. Here the opcodes are interpreted:
only those that torch's and NumPy's writers emit, and a name is never imported, it is looked up in a table of builders
that check their arguments. Opcodes: https://github.com/python/cpython/blob/3.11/Lib/pickletools.py
"""

import pickle
import pickletools
from collections.abc import Callable, Mapping
from typing import IO, Any, NamedTuple

_MOST_OPCODES = 1 << 25  # of one pickle; a tensor takes 30 to 60 of them, COCO's train2017 has 118,287 images
_MOST_MARKS = 100  # nested lists, dicts and tuples that are open at a time; a CLIP model's modules have 40

Builder = Callable[..., Any]


class ForeignName(pickle.UnpicklingError):
    """A pickle names something that no file of tensors needs; Python's own unpickler would import and call it."""


class PickleName(NamedTuple):
    """A module and a name in it, as a pickle gives them; nothing is imported."""

    module: str
    name: str


class ModuleState:
    """An object of a TorchScript archive's own class: its attributes by name."""

    def __init__(self) -> None:
        self.attributes: dict[str, Any] = {}


class Buildable:
    """An object whose state a pickle sets after it was made, as it does with NumPy's arrays and dtypes."""

    def build(self, state: Any) -> None:
        """Take the state; raises ValueError when it is not what NumPy writes."""
        raise NotImplementedError


class PickleReader:
    """Reads the pickle at the position of `stream`, which must be in memory.

    `builders` makes objects of the names that may be called, `names` are those that may only be mentioned,
    `storage` resolves a persistent id. Raises ForeignName, and ValueError for anything else that is wrong.
    """

    def __init__(
        self,
        builders: Mapping[PickleName, Builder],
        names: frozenset[PickleName] = frozenset(),
        storage: Callable[[Any], Any] | None = None,
        *,
        modules: bool = False,
    ) -> None:
        """With `modules`, classes below `__torch__` are read as ModuleState."""
        self._builders, self._names, self._storage, self._modules = builders, names, storage, modules
        self._stack: list[Any] = []
        self._marked: list[list[Any]] = []  # the stacks below each open mark
        self._memo: dict[int, Any] = {}

    def read(self, stream: IO[bytes]) -> Any:
        """The value; containers may share parts, so never walk through it without a limit."""
        self._stack, self._marked, self._memo = [], [], {}
        table = _OPCODES
        for number, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
            if number > _MOST_OPCODES:
                raise ValueError("more parts than any file of tensors has")
            if opcode.name == "STOP":
                break
            step = table.get(opcode.name)
            if step is None:
                raise ValueError(f"opcode {opcode.name}, which no writer of tensors uses")
            try:
                step(self, argument)
            except IndexError:  # of an empty stack
                raise ValueError("its parts do not fit together") from None
        if len(self._stack) != 1 or self._marked:
            raise ValueError("its parts do not fit together")
        return self._stack[0]

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    def _mark(self, _: Any) -> None:
        if len(self._marked) >= _MOST_MARKS:
            raise ValueError("nested too deep")
        self._marked.append(self._stack)
        self._stack = []

    def _since_mark(self) -> list[Any]:
        """What was pushed after the last mark; the stack below becomes the current one."""
        found, self._stack = self._stack, self._marked.pop()
        return found

    def _tuple(self, size: int) -> None:
        if size > len(self._stack):
            raise IndexError
        start = len(self._stack) - size
        self._stack[start:] = [tuple(self._stack[start:])]

    def _put(self, place: int) -> None:
        self._memo[place] = self._stack[-1]

    def _memoize(self, _: Any) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def _get(self, place: int) -> None:
        if place not in self._memo:
            raise ValueError("it refers to a part that it does not have")
        self._push(self._memo[place])

    def _extend(self, values: list[Any]) -> None:
        if type(self._stack[-1]) is not list:
            raise ValueError("a list was expected")
        self._stack[-1].extend(values)

    def _set(self, pairs: list[Any]) -> None:
        target = self._stack[-1]
        if type(target) is not dict or len(pairs) % 2:
            raise ValueError("a dict was expected")
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            # a nested tuple as key would take forever to hash; bool is an int
            if type(key) not in (str, int):
                raise ValueError("a key that is neither a text nor a whole number")
            target[key] = value

    def _name(self, module: Any, name: Any) -> None:
        if type(module) is not str or type(name) is not str:
            raise ValueError("a name that is no text")
        found = PickleName(module[:80], name[:80])
        own = self._modules and found.module.split(".")[0] == "__torch__"
        if not own and found not in self._builders and found not in self._names:
            raise ForeignName(f"it asks for {found.module}.{found.name}")
        self._push(found)

    def _stack_global(self, _: Any) -> None:
        name = self._stack.pop()
        self._name(self._stack.pop(), name)

    def _reduce(self, _: Any) -> None:
        arguments, called = self._stack.pop(), self._stack.pop()
        builder = self._builders.get(called) if type(called) is PickleName else None
        if builder is None or type(arguments) is not tuple:
            raise ValueError("it calls what cannot be called")
        try:
            self._push(builder(*arguments))
        except TypeError:  # another number of arguments
            raise ValueError(f"{called.name} with arguments that it does not take") from None

    def _new_object(self, _: Any) -> None:
        arguments, kind = self._stack.pop(), self._stack.pop()
        if not (type(kind) is PickleName and kind.module.startswith("__torch__") and arguments == ()):
            raise ValueError("an object that is no tensor")
        self._push(ModuleState())

    def _build(self, _: Any) -> None:
        state, target = self._stack.pop(), self._stack[-1]
        if isinstance(target, Buildable):
            target.build(state)
        elif isinstance(target, ModuleState) and type(state) is dict:
            target.attributes = {str(key): value for key, value in state.items()}
        elif type(target) is not dict:  # a state dict's _metadata, which are no tensors, is left out
            raise ValueError("a state for an object that has none")

    def _persistent(self, _: Any) -> None:
        pid = self._stack.pop()
        if self._storage is None:
            raise ValueError("it refers to another file")
        self._push(self._storage(pid))

    def _whole(self, value: int) -> None:
        # torch's magic number has 77 bits, the largest id 64
        if value.bit_length() > 128:
            raise ValueError("a number beyond 128 bits")
        self._push(value)


def _pop_one(reader: PickleReader) -> list[Any]:
    return [reader._stack.pop()]


def _pop_two(reader: PickleReader) -> list[Any]:
    value = reader._stack.pop()
    return [reader._stack.pop(), value]


# what each opcode does; pickletools gives opcodes without an argument None as theirs
_OPCODES: dict[str, Callable[[PickleReader, Any], None]] = {
    "PROTO": lambda reader, version: None,
    "FRAME": lambda reader, length: None,
    "MARK": PickleReader._mark,
    "NONE": lambda reader, _: reader._push(None),
    "NEWTRUE": lambda reader, _: reader._push(True),
    "NEWFALSE": lambda reader, _: reader._push(False),
    **dict.fromkeys(("BININT", "BININT1", "BININT2", "INT", "LONG", "LONG1", "LONG4"), PickleReader._whole),
    **dict.fromkeys(
        ("FLOAT", "BINFLOAT", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "SHORT_BINBYTES", "BINBYTES",
         "BINBYTES8", "BYTEARRAY8"),
        PickleReader._push,
    ),
    "EMPTY_TUPLE": lambda reader, _: reader._push(()),
    "EMPTY_LIST": lambda reader, _: reader._push([]),
    "EMPTY_DICT": lambda reader, _: reader._push({}),
    "TUPLE": lambda reader, _: reader._push(tuple(reader._since_mark())),
    "TUPLE1": lambda reader, _: reader._tuple(1),
    "TUPLE2": lambda reader, _: reader._tuple(2),
    "TUPLE3": lambda reader, _: reader._tuple(3),
    "APPEND": lambda reader, _: reader._extend(_pop_one(reader)),
    "APPENDS": lambda reader, _: reader._extend(reader._since_mark()),
    "SETITEM": lambda reader, _: reader._set(_pop_two(reader)),
    "SETITEMS": lambda reader, _: reader._set(reader._since_mark()),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), PickleReader._put),
    "MEMOIZE": PickleReader._memoize,
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), PickleReader._get),
    "GLOBAL": lambda reader, names: reader._name(*names.split(" ", 1)),
    "STACK_GLOBAL": PickleReader._stack_global,
    "REDUCE": PickleReader._reduce,
    "NEWOBJ": PickleReader._new_object,
    "BUILD": PickleReader._build,
    "BINPERSID": PickleReader._persistent,
}  # fmt: skip
