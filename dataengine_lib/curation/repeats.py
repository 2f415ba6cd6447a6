"""Step 4: QAs that repeat one of the same image, and names for QAs that are no repeats."""

import hashlib
from collections.abc import Sequence

from dataengine_lib.core.records import Result
from dataengine_lib.core.text import choice_key
from dataengine_lib.replies.one_qa import Qa


class Repeats:
    """Knows the QAs seen so far by 16 bytes each, so that a hundred thousand take a few megabytes."""

    def __init__(self) -> None:
        self._seen: set[bytes] = set()

    def new(self, image_id: int, qas: Sequence[Qa]) -> list[Qa]:
        """The QAs of a reply, one that the reply says twice once; none when one of them was seen before.

        Two QAs repeat each other when they ask the same of the same image, whatever the order of their choices.
        """
        if len(qas) == 1:
            key = _key(image_id, qas[0])
            if key in self._seen:
                return []
            self._seen.add(key)
            return list(qas)
        keys = {_key(image_id, qa): qa for qa in reversed(qas)}
        if not self._seen.isdisjoint(keys):
            return []
        self._seen.update(keys)
        return list(keys.values())[::-1]


def _key(image_id: int, qa: Qa) -> bytes:
    choices = [choice_key(choice) for choice in qa.choices]
    parts = [str(image_id), choice_key(qa.question), choices[qa.correct_choice_idx], *sorted(choices)]
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=16).digest()


class RecordIds:
    """Gives every record an id of its own, the same on every run over the same rows."""

    def __init__(self) -> None:
        self._given: set[str] = set()

    def of(self, row: Result, number: int) -> str:
        """The id of a reply's QA, `number` 0 being its first; see `TrainRecord`."""
        name = row.query_id or f"h-{_hash(row)}"
        name = f"{name}-{number + 1}" if number else name
        if name in self._given:  # two replies to one query, in files put together by hand
            name = f"{name}-{_hash(row)}"
        self._given.add(name)
        return name


def _hash(row: Result) -> str:
    text = "\0".join([str(row.image_id), row.question_type, row.raw_instructions])
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
