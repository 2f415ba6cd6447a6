"""Step 4, box check: which category the words of a question or a choice name, and whether such a thing is there."""

import re
from collections.abc import Sequence
from functools import lru_cache

from dataengine_lib.annotations.facts import ImageFacts
from dataengine_lib.annotations.vocabulary import plural, with_related_words

Truth = bool | None

EQUAL = {  # words for a category that mean neither more nor less
    "people": "person", "persons": "person", "human": "person", "plane": "airplane", "aeroplane": "airplane",
    "sofa": "couch", "television": "tv", "motorbike": "motorcycle", "fridge": "refrigerator", "doughnut": "donut",
}  # fmt: skip
_OF_A_KIND = ("animal", "vehicle")  # words of questions that are supercategories, too
_SEVERAL = re.compile(r" (?:and|or|as well as) |[,&/]|^(?:they|all|both|each|neither|none|nothing)\b")


def category_of(words: str, facts: ImageFacts) -> str:
    """The dataset's category that words name, one or several of it, with an article or without; empty for others."""
    bare = re.sub(r"^(?:an?|the|some) ", "", words)
    return _singulars(tuple(facts.kinds)).get(bare, "")


@lru_cache(maxsize=8)
def _singulars(kinds: tuple[str, ...]) -> dict[str, str]:
    found = {word: name for word, name in EQUAL.items() if name in kinds}
    found |= {
        plural(word): name
        for word, name in EQUAL.items()
        if name in kinds and word not in ("people", "persons")
    }
    found |= {plural(name): name for name in kinds}
    return found | {name: name for name in kinds}


def is_plural(words: str, name: str) -> bool:
    """The words for a category are its plural, or the same in both."""
    return words == plural(name) or (words != name and (words == "people" or words.endswith("s")))


def present(name: str, facts: ImageFacts) -> Truth:
    """Whether a thing of the category is there; None where it is small, or may have been overlooked."""
    if name in facts.boxes:
        return True if name in facts.visible_things() else None
    return False if name and name in facts.absent_things() else None


def presences(choices: Sequence[str], facts: ImageFacts, word: str, *, absent: bool) -> list[Truth]:
    """Of each choice whether it is there, or `absent`, where a question asks for a `word`, as "animal", or "" for all."""
    names = [category_of(choice, facts) for choice in choices]
    truths = [present(name, facts) for name in names]
    if absent:
        truths = [None if truth is None else not truth for truth in truths]
    else:  # a dog is there, and so may "a puppy" be
        others = [choice for choice, name in zip(choices, names, strict=True) if not name]
        truths = [
            None if truth and any(_is_one(choice, name) for choice in others) else truth
            for name, truth in zip(names, truths, strict=True)
        ]
    if any(map(_SEVERAL.search, choices)):  # "a dog and a cat" says more than "a dog" and is as true
        return only_false(truths)
    return [
        None if truth and not _may_be_meant(word, facts.kinds.get(name, "")) else truth
        for name, truth in zip(names, truths, strict=True)
    ]


def only_false(truths: Sequence[Truth]) -> list[Truth]:
    """What is true left open."""
    return [False if truth is False else None for truth in truths]


def _is_one(choice: str, name: str) -> bool:
    bare = re.sub(r"^(?:an?|the|some) ", "", choice)
    return any(bare in (word, plural(word)) for word in with_related_words(name))


def _may_be_meant(word: str, kind: str) -> bool:
    """Whether who asks for a `word` may mean things of this supercategory: nobody calls a dog an object."""
    if word in _OF_A_KIND:
        return word == kind
    return word not in ("object", "item") or kind not in ("person", "animal")
