"""A changed copy of a valid file, the same one for the same seed: of its values, of its shape, of its bytes."""

import copy
import gzip
import json
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any, NamedTuple

from fuzzing.forms import Form, dumped, loaded
from fuzzing.other_files import ODD


class Mutation(NamedTuple):
    """The changed bytes; `kept` is the share of the valid file's rows that are still in them, as far as it is known."""

    name: str
    content: bytes
    kept: float = 1.0


def mutate(content: bytes, form: Form, seed: int, others: Sequence[bytes]) -> Mutation:
    """One mutation of a valid file; `others` are files of other formats."""
    rng = Random(f"mutation {seed}")
    of_values = form != "bytes" and rng.random() < 0.6
    found = _changed_values(content, form, rng) if of_values else Mutation("", content)
    if not of_values or rng.random() < 0.15:
        found = _changed_bytes(found, form, rng, others)
    return found


# --- values


def _changed_values(content: bytes, form: Form, rng: Random) -> Mutation:
    value = [loaded(form, content)]  # in a list, so that the outermost value has a place too
    kept = 1.0
    names = []
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        change = rng.choice(_CHANGES)
        names.append(change.__name__.strip("_"))
        left = change(value, rng)
        kept *= 1.0 if left is None else left
    try:
        text = dumped(form, value[0])
    except (ValueError, TypeError, RecursionError, UnicodeError):
        # a value that this form cannot write at all
        return Mutation("unwritable", content)
    return Mutation("+".join(names), text, kept)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container with each of its keys."""
    stack = [value]
    while stack:
        one = stack.pop()
        keys = list(one) if isinstance(one, dict) else range(len(one))
        for key in keys:
            yield one, key
            if isinstance(one[key], dict | list):
                stack.append(one[key])


def _row_lists(value: Any) -> list[Any]:
    """Lists of objects, objects of objects, and otherwise all objects."""
    found = [
        one[key]
        for one, key in _places(value)
        if isinstance(one[key], dict | list)
        and len(one[key]) > 1
        and sum(isinstance(item, dict) for item in _items(one[key])) > 1
    ]
    return found or [one[key] for one, key in _places(value) if isinstance(one[key], dict)]


def _items(rows: Any) -> list[Any]:
    return list(rows.values()) if isinstance(rows, dict) else rows


def _some_rows(value: Any, rng: Random) -> Any:
    rows = _row_lists(value)
    return rng.choice(rows) if rows else None


def _drop_rows(value: Any, rng: Random) -> float:
    """The share of the rows that is left."""
    rows = _some_rows(value, rng)
    if not rows:
        return 1.0
    keys = list(rows) if isinstance(rows, dict) else list(range(len(rows)))
    gone = rng.sample(keys, rng.choice((1, 1, len(keys) // 2, len(keys) - 1, len(keys))))
    for key in sorted(gone, reverse=True) if isinstance(rows, list) else gone:
        del rows[key]
    return len(rows) / len(keys)


def _odd_value(value: Any, rng: Random) -> None:
    one, key = rng.choice(list(_places(value)))
    one[key] = copy.deepcopy(rng.choice(ODD))


def _odd_field(value: Any, rng: Random) -> None:
    """One field of a share of all rows."""
    rows = _some_rows(value, rng)
    objects = [row for row in _items(rows) if isinstance(row, dict) and row] if rows else []
    if objects:
        key, odd = rng.choice(list(rng.choice(objects))), rng.choice(ODD)
        for row in rng.sample(objects, max(1, int(len(objects) * rng.choice((0.04, 0.2, 1.0))))):
            row[key] = copy.deepcopy(odd)


def _other_type(value: Any, rng: Random) -> None:
    one, key = rng.choice(list(_places(value)))
    given = one[key]
    one[key] = rng.choice(
        [str(given), [given], {"value": given}, {str(key): given}, json.dumps(given, default=str), float(given)
         if isinstance(given, int) else len(str(given))]
    )  # fmt: skip


def _nested(value: Any, rng: Random) -> None:
    one, key = rng.choice(list(_places(value)))
    for _ in range(rng.choice((1, 2, 20, 200))):
        one[key] = [one[key]] if rng.random() < 0.7 else {"x": one[key]}


def _remove_key(value: Any, rng: Random) -> None:
    rows = _some_rows(value, rng)
    objects = [row for row in _items(rows) if isinstance(row, dict) and row] if rows else []
    if objects:
        key = rng.choice(list(rng.choice(objects)))
        for row in rng.choice((objects[:1], objects[::2], objects)):
            row.pop(key, None)


def _rename_key(value: Any, rng: Random) -> None:
    rows = _some_rows(value, rng)
    objects = [row for row in _items(rows) if isinstance(row, dict) and row] if rows else []
    if objects:
        key = rng.choice(list(rng.choice(objects)))
        name = rng.choice((str(key).upper(), f"{key} ", f"{key}s", "", "é", "x" * 2_000, "type", "id"))
        for row in rng.choice((objects[:1], objects[::2], objects)):
            if key in row:
                row[name] = row.pop(key)


def _rename_top(value: Any, rng: Random) -> None:
    if isinstance(value[0], dict) and value[0]:
        key = rng.choice(list(value[0]))
        value[0][rng.choice(("data", f"{key}_", str(key).upper(), "questions", "annotations"))] = value[
            0
        ].pop(key)


def _swap(value: Any, rng: Random) -> None:
    """Values of one field change places between two rows."""
    rows = _some_rows(value, rng)
    objects = [row for row in _items(rows) if isinstance(row, dict) and row] if rows else []
    if len(objects) > 1:
        one, other = rng.sample(objects, 2)
        key = rng.choice(list(one))
        one[key], other[key] = other.get(key), one[key]


def _swap_keys(value: Any, rng: Random) -> None:
    rows = _some_rows(value, rng)
    objects = [row for row in _items(rows) if isinstance(row, dict) and len(row) > 1] if rows else []
    if objects:
        row = rng.choice(objects)
        one, other = rng.sample(list(row), 2)
        row[one], row[other] = row[other], row[one]


def _add_row(value: Any, rng: Random) -> None:
    rows = _some_rows(value, rng)
    if isinstance(rows, list):
        odd = rng.choice((None, 5, "text", [], {}, {"x": 1}, [[1]], *(rows[:1] or [0])))
        rows.insert(rng.randrange(len(rows) + 1), copy.deepcopy(odd))
    elif isinstance(rows, dict):
        rows[rng.choice(("", "new", "x" * 500))] = copy.deepcopy(rng.choice((None, 5, "text", [], {})))


def _double_rows(value: Any, rng: Random) -> None:
    rows = _some_rows(value, rng)
    if isinstance(rows, list) and rows:
        rows += copy.deepcopy(rng.choice((rows[:1], rows)))


def _shuffle_rows(value: Any, rng: Random) -> None:
    rows = _some_rows(value, rng)
    if isinstance(rows, list):
        rng.shuffle(rows)


def _other_shape(value: Any, rng: Random) -> float:
    """The whole file in another shape that holds the same rows, or the first of them; the share that is left."""
    whole = value[0]
    rows = _items(whole) if isinstance(whole, dict | list) else [whole]
    shapes = [
        {"data": whole},
        [whole],
        rows,
        {str(n): row for n, row in enumerate(rows)},
        {"a": rows, "b": []},
        rows[:1],
    ]
    value[0] = rng.choice(shapes)
    return 1.0 if value[0] is not shapes[-1] or len(rows) < 2 else 1 / len(rows)


# each changes a value in place, and returns the share of the rows that it leaves where that is not all
_CHANGES: list[Callable[[Any, Random], float | None]] = [
    _drop_rows, _odd_value, _odd_value, _odd_field, _odd_field, _other_type, _nested, _remove_key, _rename_key,
    _rename_top, _swap, _swap_keys, _add_row, _double_rows, _shuffle_rows, _other_shape,
]  # fmt: skip


# --- bytes


def _changed_bytes(given: Mutation, form: Form, rng: Random, others: Sequence[bytes]) -> Mutation:
    name = rng.choice(list(_OF_BYTES))
    content = given.content
    changed = rng.choice(others) if name == "another format" else _OF_BYTES[name](content, rng)
    kept = given.kept
    if name in ("cut end", "cut start", "block gone") and form in ("lines", "tsv", "csv"):
        # whole lines that are gone leave no trace
        kept *= max(0, changed.count(b"\n") - 1) / max(1, content.count(b"\n"))
    elif name in ("empty", "another format"):
        kept = 0
    elif name == "block gone":
        # two rows may have become one
        kept *= max(0.0, len(changed) / len(content) - 0.1) if content else 0
    return Mutation(f"{given.name}+{name}".lstrip("+"), changed, kept)


def _as(encoding: str) -> Callable[[bytes, Random], bytes]:
    return lambda content, _: content.decode("utf-8", "replace").encode(encoding, "replace")


def _flipped(content: bytes, rng: Random) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 3, 20))):
        if changed:
            changed[rng.randrange(len(changed))] = rng.choice(
                (0, 10, 13, 34, 44, 58, 91, 123, 125, 255, rng.randrange(256))
            )
    return bytes(changed)


def _inserted(content: bytes, rng: Random) -> bytes:
    place = rng.randrange(len(content) + 1)
    new = rng.choice((b"\x00", b"\xff\xfe", b"{", b"}", b"]", b"[", b'"', b",", b"\\", b"\n", b"NaN", b"\xed\xa0\x80",
                      b'"\\ud800"', b"\t", b": ", b"- ", b"&a *a", b"[" * 3_000, b'{"a":' * 3_000))  # fmt: skip
    return content[:place] + new + content[place:]


def _without_block(content: bytes, rng: Random) -> bytes:
    place = rng.randrange(len(content) + 1)
    return content[:place] + content[place + rng.choice((1, 5, 60, len(content) // 2)) :]


def _doubled_block(content: bytes, rng: Random) -> bytes:
    place = rng.randrange(len(content) + 1)
    block = content[place : place + rng.choice((1, 30, 200, len(content)))]
    return content[:place] + block + content[place:]


def _key_twice(content: bytes, rng: Random) -> bytes:
    """A key of an object, or a line of YAML, once more."""
    start = content.find(b'"', rng.randrange(len(content) + 1))
    end = content.find(b",", start)
    if start < 0 or end < 0:
        lines = content.splitlines(keepends=True) or [b""]
        place = rng.randrange(len(lines))
        return b"".join([*lines[: place + 1], *lines[place:]])
    return content[:end] + b", " + content[start:end] + content[end:]


_OF_BYTES: dict[str, Callable[[bytes, Random], bytes]] = {
    "cut end": lambda content, rng: content[: rng.randrange(len(content) + 1)],
    "cut tail": lambda content, rng: content[: -rng.randrange(1, 12)],
    "cut start": lambda content, rng: content[rng.randrange(len(content) + 1) :],
    "block gone": _without_block,
    "block twice": _doubled_block,
    "key twice": _key_twice,
    "flipped": _flipped,
    "inserted": _inserted,
    "empty": lambda content, rng: rng.choice((b"", b" ", b"\n\n", b"\x00" * 64, b"null", b"[]", b"{}", b'""', b"5")),
    "byte order mark": lambda content, rng: b"\xef\xbb\xbf" * rng.choice((1, 1, 2)) + content,
    "utf-16": _as("utf-16"),
    "utf-16-le": _as("utf-16-le"),
    "utf-16-be": _as("utf-16-be"),
    "utf-32": _as("utf-32"),
    "latin-1": lambda content, rng: _as("latin-1")(content.replace(b"i", "é".encode(), 2), rng),
    "utf-7": _as("utf-7"),
    "crlf": lambda content, rng: content.replace(b"\n", b"\r\n"),
    "cr": lambda content, rng: content.replace(b"\n", b"\r"),
    "one line": lambda content, rng: content.replace(b"\n", b" "),
    "gzip": lambda content, rng: gzip.compress(content, mtime=0),
    "gzip cut": lambda content, rng: gzip.compress(content, mtime=0)[: rng.randrange(5, 40)],
    "gzip twice": lambda content, rng: gzip.compress(gzip.compress(content, mtime=0), mtime=0),
    "gzip damaged": lambda content, rng: _flipped(gzip.compress(content, mtime=0), rng),
    "twice": lambda content, rng: content + rng.choice((b"", b"\n")) + content,
    "another format": lambda content, rng: content,
}  # fmt: skip
