"""Step 4: finds QAs that repeat one about the same image, and gives every other QA an id."""

import hashlib
from collections.abc import Sequence
from typing import TypeVar

from dataengine_lib.core.records import ImageId, Result, right_answer
from dataengine_lib.core.text import choice_key
from dataengine_lib.replies.one_qa import Qa

_T = TypeVar("_T")


class Repeats:
    """Remembers the QAs seen so far, 16 bytes each: 100,000 take a few MB."""

    def __init__(self) -> None:
        self._seen: set[bytes] = set()

    def new(self, qas: Sequence[_T], keys: Sequence[bytes]) -> list[_T]:
        """The QAs of a reply, by their keys, without repeats within it; empty if one of them was seen before."""
        # the same as below for a single QA, without a dict
        if len(qas) == 1:
            if keys[0] in self._seen:
                return []
            self._seen.add(keys[0])
            return list(qas)
        # reversed, so that of two equal QAs the first one is kept
        by_key = dict(zip(reversed(keys), reversed(qas), strict=True))
        if not self._seen.isdisjoint(by_key):
            return []
        self._seen.update(by_key)
        return list(by_key.values())[::-1]


def repeat_key(image_id: ImageId, qa: Qa) -> bytes:
    """16 bytes, equal for QAs that ask the same about the same image, whatever the order of their choices."""
    choices = [choice_key(choice) for choice in qa.choices]
    parts = [str(image_id), choice_key(qa.question), choice_key(right_answer(qa)), *sorted(choices)]
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=16).digest()


class RecordIds:
    """Gives every record a unique id, the same in every run over the same rows."""

    def __init__(self) -> None:
        self._given: set[str] = set()

    def of(self, row: Result, number: int) -> str:
        """The id of a reply's QA; `number` counts the QAs of the reply from 0. See `TrainRecord`."""
        name = row.query_id or f"h-{_row_hash(row)}"
        name = f"{name}-{number + 1}" if number else name
        if name in self._given:  # two replies to one query, in files that were concatenated by hand
            name = f"{name}-{_row_hash(row)}"
        self._given.add(name)
        return name


def _row_hash(row: Result) -> str:
    text = "\0".join([str(row.image_id), row.question_type, row.raw_instructions])
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
