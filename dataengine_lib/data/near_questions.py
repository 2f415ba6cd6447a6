"""Step 1: bad cases of a type that ask nearly the same become one, so that no query shows the same twice."""

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from dataengine_lib.data.records import Answer

_HASHES = 128
_MISSED = 1e-3  # of the pairs at the threshold, the most that the hashes may miss
# Thai to Burmese, Khmer, kana, Han: written without spaces, so each character counts as a word
_UNSPACED = r"\u0e00-\u109f\u1780-\u17ff\u3005-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\s{_UNSPACED}]+")
_EDGES = ".,;:!?…¿¡。、'\"`‘’“”「」『』()[]"


@dataclass(frozen=True)
class Dropped:
    """A record that is left out, the kept one that stands for it, and how alike they are (0 to 1)."""

    record: Answer
    representative: Answer
    similarity: float


@dataclass(frozen=True)
class Reduced:
    """The records that stay, and those that others stand for; both in the order that they came in."""

    kept: list[Answer]
    dropped: list[Dropped]


def reduce_pool(records: Sequence[Answer], threshold: float = 0.8, seed: int = 0) -> Reduced:
    """Keep one of the records of a type whose questions, and whose choices, are alike by at least `threshold`.

    Records are taken in an order drawn with `seed`; one stays unless it is near one that stays already. So each
    dropped one is near its representative, which chains of pairs would not promise, and no two kept ones are near.
    The order depends on a record's own text alone: copies in the input change nothing. `threshold` 1 drops exact
    copies only, 0 keeps everything.
    Alike is the Jaccard similarity of the shingles, of the questions or of the choices, whichever is lower: `What is
    the man holding?` with other choices is another question, and so is another question with the same four colours.
    The order of the choices makes no difference. At 0.8, a changed word counts in questions of up to 16 words.
    Source: MLLM-DataEngine v2, near-duplicates among bad cases by MinHash and locality-sensitive hashing (Broder
    1997); here the candidates that it finds are compared exactly.
    """
    if threshold <= 0:
        return Reduced(list(records), [])
    by_text: dict[str, list[int]] = {}
    for place, record in enumerate(records):
        by_text.setdefault(_text(record), []).append(place)
    for copies in by_text.values():
        copies.sort(key=lambda place: _drawn(seed, _name(records[place])))
    by_type: dict[str, list[str]] = {}
    for text in sorted(by_text, key=lambda text: _drawn(seed, text)):
        by_type.setdefault(records[by_text[text][0]].question_type, []).append(text)
    found: dict[int, tuple[int, float]] = {}
    for texts in by_type.values():
        cases = [by_text[text] for text in texts]
        near = _nearest_kept([Shingles.of(records[copies[0]]) for copies in cases], threshold)
        for copies, (kept, similarity) in zip(cases, near, strict=True):
            found |= dict.fromkeys(copies, (cases[kept][0], similarity))
    return Reduced(
        kept=[record for place, record in enumerate(records) if found[place][0] == place],
        dropped=[
            Dropped(record, records[found[place][0]], round(found[place][1], 4))
            for place, record in enumerate(records)
            if found[place][0] != place
        ],
    )


@dataclass(frozen=True)
class Shingles:
    """Pairs of neighbouring words of a question, and of each of its choices by itself, with each text's two ends.

    Case, punctuation at words' ends and ways to write the same character make no difference.
    """

    question: frozenset[str]
    choices: frozenset[str]

    @classmethod
    def of(cls, record: Answer) -> "Shingles":
        return cls(_pairs("q", [record.question]), _pairs("c", record.choices))


def _pairs(kind: str, texts: Iterable[str]) -> frozenset[str]:
    found = set()
    for text in texts:
        words = ["", *_words(text), ""]
        found |= {"\0".join([kind, one, other]) for one, other in pairwise(words)}
    return frozenset(found)


def _jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    common = len(one & other)
    return common / (len(one) + len(other) - common) if one or other else 1.0


def _words(text: str) -> list[str]:
    """The words; marks alone, as the choices `+` and `?` have them, count where there is nothing else."""
    found = _WORD.findall(unicodedata.normalize("NFKC", text).casefold())
    return [word for part in found if (word := part.strip(_EDGES))] or found


def _text(record: Answer) -> str:
    """Equal for records that ask exactly the same."""
    choices = sorted("\1".join(_words(choice)) for choice in record.choices)
    return "\0".join([record.question_type, "\1".join(_words(record.question)), *choices])


def _name(record: Answer) -> str:
    return "\0".join([record.question_id, str(record.image_id), record.image_path])


def _drawn(seed: int, text: str) -> bytes:
    """A place in an order that is random, yet the same in every run and for every input that has the text."""
    return hashlib.sha256(f"{seed}\0{text}".encode("utf-8", "surrogatepass")).digest()


def _nearest_kept(texts: Sequence[Shingles], threshold: float) -> list[tuple[int, float]]:
    """For each text in turn: the first one that stays and is near it, with the similarity; itself if it stays.

    The hashes are of question and choices together: where both are alike by `threshold`, so are they together.
    """
    from datasketch import MinHash, MinHashLSH

    bands, rows = _bands(threshold)
    index = MinHashLSH(num_perm=bands * rows, params=(bands, rows))
    encoded = (
        [shingle.encode("utf-8", "surrogatepass") for shingle in text.question | text.choices]
        for text in texts
    )
    near: list[tuple[int, float]] = []
    for place, sketch in enumerate(MinHash.generator(encoded, num_perm=bands * rows)):
        found = _first_alike(texts[place], texts, sorted(index.query(sketch)), threshold)
        near.append(found or (place, 1.0))
        if found is None:
            index.insert(place, sketch, check_duplication=False)
    return near


def _first_alike(
    text: Shingles, texts: Sequence[Shingles], candidates: Iterable[int], threshold: float
) -> tuple[int, float] | None:
    for place in candidates:
        similarity = _jaccard(text.question, texts[place].question)
        if similarity >= threshold:  # most candidates are done with before their choices are looked at
            similarity = min(similarity, _jaccard(text.choices, texts[place].choices))
            if similarity >= threshold:
                return place, similarity
    return None


def _bands(threshold: float) -> tuple[int, int]:
    """(bands, rows) of the hashes: the longest rows with which next to no pair at the threshold is missed."""
    rows = next(
        r for r in range(_HASHES // 2, 0, -1) if (1 - threshold**r) ** (_HASHES // r) <= _MISSED or r == 1
    )
    return _HASHES // rows, rows
