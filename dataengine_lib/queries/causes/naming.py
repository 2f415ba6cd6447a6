"""Step 2: a name for each group of a type's bad cases, from the words that it has and the other groups have not."""

import math
from collections import Counter
from collections.abc import Callable, Sequence

from dataengine_lib.core.text import answer_key, key_words, one_line
from dataengine_lib.queries.bad_cases import BadCase

MOST_CHARACTERS = 160  # of a name
_MOST_OF_ANSWER = 30  # characters of an answer in a name
_LIFT = 1.5  # times as frequent as in the other groups
# of English, which say nothing of a group; words of place such as "in" do
_FUNCTION_WORDS = {
    "a", "about", "an", "and", "are", "be", "been", "by", "can", "could", "did", "do", "does", "for", "from", "has",
    "have", "how", "image", "is", "it", "its", "likely", "may", "might", "most", "of", "or", "picture", "probably", "said",
    "see", "seen", "should", "show", "shown", "that", "the", "there", "this", "to", "was", "were", "what", "which", "who",
    "whose", "why", "will", "with", "would", "you",
}  # fmt: skip
_LEAST_SHARE = 0.15  # of a group's cases that have a word of its name


def cause_name(text: str) -> str:
    """A text as a cause's name: one line of at most 160 characters."""
    name = one_line(text)
    return name if len(name) <= MOST_CHARACTERS else f"{name[: MOST_CHARACTERS - 1].rstrip()}…"


def cause_names(cases: Sequence[BadCase], groups: Sequence[int], typical: Sequence[int]) -> list[str]:
    """A name for each group, all different; one group alone is the whole type and has an empty name.

    `groups` are the cases' groups, `typical` the place of each group's most typical case, whose question is the name of a
    group without words of its own: images set it apart. Words are those of the highest c-TF-IDF.
    """
    if len(typical) < 2:
        return ["" for _ in typical]
    asked = _distinctive(cases, groups, len(typical), _question_words, 3)
    given = _distinctive(cases, groups, len(typical), lambda case: _answer(case.answer), 2)
    right = _distinctive(cases, groups, len(typical), lambda case: _answer(case.right), 2)
    names: list[str] = []
    for number, place in enumerate(typical):
        parts = [("asks about", asked[number]), ("answered", given[number]), ("right is", right[number])]
        words = "; ".join(f"{what} {' or '.join(found)}" for what, found in parts if found)
        name = cause_name(words or f"like: {cases[place].asked}")
        names.append(name if name not in names else cause_name(f"({number + 1}) {name}"))
    return names


def _question_words(case: BadCase) -> list[str]:
    return [word for word in key_words(case.asked) if word not in _FUNCTION_WORDS]


def _answer(text: str) -> list[str]:
    key = answer_key(text)
    return [f'"{one_line(key)[:_MOST_OF_ANSWER]}"'] if key else []


def _distinctive(
    cases: Sequence[BadCase],
    groups: Sequence[int],
    count: int,
    words_of: Callable[[BadCase], Sequence[str]],
    most: int,
) -> list[list[str]]:
    """Up to `most` words of each group, by c-TF-IDF (Grootendorst 2022, BERTopic), over the cases that have a word.

    Only words that at least 15 % of the group's cases have, two of them at least, and that are 1.5 times as frequent as in
    the rest of the type: "the" is in many questions, and tells no group from another.
    """
    having = [Counter[str]() for _ in range(count)]
    sizes = Counter(groups)
    for case, group in zip(cases, groups, strict=True):
        having[group].update(set(words_of(case)))
    overall = sum(having, Counter[str]())
    average = overall.total() / count  # words of a group
    found = []
    for group, own in enumerate(having):
        others = len(cases) - sizes[group]
        scores = {}
        for word, number in own.items():
            share = number / sizes[group]
            elsewhere = (overall[word] - number) / others if others else 0.0
            if number >= 2 and share >= _LEAST_SHARE and share >= _LIFT * elsewhere:
                scores[word] = share * math.log(1 + average / overall[word])
        # of equal words the longest first
        found.append(sorted(scores, key=lambda word: (-round(scores[word], 9), -len(word), word))[:most])
    return found
