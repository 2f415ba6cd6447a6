"""Step 4, box check: which category the words of a question or choice name, and whether it is in the image."""

import re
from collections.abc import Sequence
from functools import lru_cache

from dataengine_lib.annotations.facts import ImageFacts
from dataengine_lib.annotations.vocabulary import plural, with_related_words

Truth = bool | None
"""True or False by the boxes; None if they do not tell."""

EXACT_SYNONYMS = {  # words that mean exactly the same as a category's name
    "people": "person", "persons": "person", "human": "person", "plane": "airplane", "aeroplane": "airplane",
    "sofa": "couch", "television": "tv", "motorbike": "motorcycle", "fridge": "refrigerator", "doughnut": "donut",
}  # fmt: skip
_OF_A_KIND = ("animal", "vehicle")  # words of questions that are also names of supercategories
# A choice about several things or none: "a dog and a cat", "both", "neither of them".
_SEVERAL = re.compile(r" (?:and|or|as well as) |[,&/]|^(?:they|all|both|each|neither|none|nothing)\b")


def category_of(words: str, facts: ImageFacts) -> str:
    """The category that the words name, singular or plural, with or without an article; empty for other words."""
    bare = re.sub(r"^(?:an?|the|some) ", "", words)
    return _category_by_form(tuple(facts.kinds)).get(bare, "")


@lru_cache(maxsize=8)
def _category_by_form(kinds: tuple[str, ...]) -> dict[str, str]:
    """Every form of the categories' names and synonyms -> the category."""
    found = {word: name for word, name in EXACT_SYNONYMS.items() if name in kinds}
    found |= {
        plural(word): name
        for word, name in EXACT_SYNONYMS.items()
        # these two are plurals already
        if name in kinds and word not in ("people", "persons")
    }
    found |= {plural(name): name for name in kinds}
    # names last: where a plural or a synonym is another category's name, that one counts
    return found | {name: name for name in kinds}


def is_plural_of(words: str, name: str) -> bool:
    """True if the words for a category are a plural, or the same in singular and plural."""
    return words == plural(name) or (words != name and (words == "people" or words.endswith("s")))


def is_present(name: str, facts: ImageFacts) -> Truth:
    """Whether the category is in the image; None if it is small or may have been missed by annotators."""
    if name in facts.boxes:
        return True if name in facts.visible_things() else None
    return False if name and name in facts.absent_things() else None


def presence_of_choices(choices: Sequence[str], facts: ImageFacts, word: str, *, absent: bool) -> list[Truth]:
    """Whether each choice is in the image, or with `absent` whether it is not.

    `word` is what the question asks for, such as "animal"; "" for anything.
    """
    names = [category_of(choice, facts) for choice in choices]
    truths = [is_present(name, facts) for name in names]
    if absent:
        truths = [None if truth is None else not truth for truth in truths]
    else:  # if a dog is there, "a puppy" may be right as well: "a dog" is not proven to be the answer
        unknown = [choice for choice, name in zip(choices, names, strict=True) if not name]
        truths = [
            None if truth and any(_may_mean(choice, name) for choice in unknown) else truth
            for name, truth in zip(names, truths, strict=True)
        ]
    # beside "a dog and a cat", "a dog" is true but not the best answer
    if any(map(_SEVERAL.search, choices)):
        return without_true(truths)
    return [
        None if truth and not _may_be_meant(word, facts.kinds.get(name, "")) else truth
        for name, truth in zip(names, truths, strict=True)
    ]


def without_true(truths: Sequence[Truth]) -> list[Truth]:
    """The truths with every True replaced by None."""
    return [False if truth is False else None for truth in truths]


def _may_mean(choice: str, name: str) -> bool:
    """True if a choice is a word related to the category, such as "a puppy" for dog."""
    bare = re.sub(r"^(?:an?|the|some) ", "", choice)
    return any(bare in (word, plural(word)) for word in with_related_words(name))


def _may_be_meant(word: str, kind: str) -> bool:
    """Whether a question for a `word` may mean things of this supercategory: a dog is not called an object."""
    if word in _OF_A_KIND:
        return word == kind
    return word not in ("object", "item") or kind not in ("person", "animal")
