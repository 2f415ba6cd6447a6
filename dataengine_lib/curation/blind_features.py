"""Step 4, blind classifier: the words of a question with each of its choices, as a linear classifier counts them."""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise, repeat
from typing import Any

from dataengine_lib.core.records import TrainRecord

FEATURES = 1 << 18  # places of the hashed counts; 100,000 records have some 300,000 different features
_WORD = re.compile(r"\w+")


def hashed(rows: Iterable[Sequence[str]]) -> Any:
    """A sparse float32 matrix `(number of rows, FEATURES)` of how often each feature of a row comes.

    Hashed, so that memory does not grow with the vocabulary. Source: the hashing trick, Weinberger et al. 2009, as
    in sklearn.feature_extraction.FeatureHasher.
    """
    from sklearn.feature_extraction import FeatureHasher

    hasher = FeatureHasher(FEATURES, input_type="pair", alternate_sign=False, dtype="float32")
    # what "string" does itself, only with a generator for each row
    return hasher.transform(zip(row, repeat(1)) for row in rows)


def choice_rows(record: TrainRecord, letters: bool = True) -> Iterator[list[str]]:
    """The features of each choice of a record.

    Of a choice its words, pairs of neighbouring words and whole text; its words and text also together with each
    word of the question; and what gives a choice away whatever it says: its letter (with `letters`), being the longest
    or shortest, how many words it shares with the question and with the other choices.
    """
    asked = list(dict.fromkeys(_words(record.question)))
    said = [_words(choice) for choice in record.choices]
    lengths = [len(choice) for choice in record.choices]
    for place, words in enumerate(said):
        others = {word for other, row in enumerate(said) if other != place for word in row}
        own = [f"c {word}" for word in dict.fromkeys(words)]
        whole = "t " + " ".join(words)
        row = [
            *own,
            whole,
            *(f"p {one} {other}" for one, other in pairwise(words)),
            *([f"at {place}"] if letters else []),
            f"words {min(len(words), 9)}",
        ]
        ends = [f" & {one}" for one in (*own, whole)]
        row += [word + end for word in asked for end in ends]
        row.append(f"shared {sum(word in others for word in words)}")
        row.append(f"asked {sum(word in asked for word in words)}")
        if lengths.count(lengths[place]) == 1:
            if lengths[place] == max(lengths):
                row.append("longest")
            elif lengths[place] == min(lengths):
                row.append("shortest")
        yield row


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())
