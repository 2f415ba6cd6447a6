"""Step 3, annotations teacher: yes/no and open-ended questions that boxes and captions prove: things, numbers, colours."""

import re
from collections.abc import Callable
from random import Random
from typing import NamedTuple, TypeVar

from dataengine_lib.annotations.draft import is_or_are, with_article
from dataengine_lib.annotations.facts import ImageFacts
from dataengine_lib.annotations.vocabulary import plural
from dataengine_lib.annotations.writers.attributes import write_colour
from dataengine_lib.core.records import OPEN


class AnsweredDraft(NamedTuple):
    """A question with its proven answer, `Yes`, `No` or a short one, and the reason."""

    question: str
    answer: str
    why: str


_YesNoWriter = Callable[[ImageFacts, Random, bool], AnsweredDraft | None]
_OpenWriter = Callable[[ImageFacts, Random], AnsweredDraft | None]
_W = TypeVar("_W")


def yes_no_draft(question_type: str, facts: ImageFacts, rng: Random, wants_yes: bool) -> AnsweredDraft | None:
    """A yes/no question of the type with the wanted answer; None where the type or the picture allows none."""
    return next(
        filter(None, (write(facts, rng, wants_yes) for write in _of_type(_YES_NO, question_type))), None
    )


def open_draft(question_type: str, facts: ImageFacts, rng: Random) -> AnsweredDraft | None:
    """An open-ended question of the type; None where the type or the picture allows none."""
    return next(filter(None, (write(facts, rng) for write in _of_type(_OPEN, question_type))), None)


def has_writer(question_type: str, kind: str) -> bool:
    """Whether questions of the type are written that are open-ended, or else yes/no."""
    return bool(_of_type(_OPEN, question_type) if kind == OPEN else _of_type(_YES_NO, question_type))


def _is_there(facts: ImageFacts, rng: Random, wants_yes: bool) -> AnsweredDraft | None:
    """Whether a thing is there; for No one that the pool often shows together with what is there.

    Source: POPE (arXiv 2305.10355), whose adversarial negatives are drawn by co-occurrence.
    """
    names = facts.visible_things() if wants_yes else list(facts.draw_plausible(rng, facts.absent_things(), 1))
    if not names:
        return None
    name = rng.choice(names)
    verb = is_or_are(name)
    question = f"{verb.capitalize()} there {with_article(name)} in the picture?"
    there = with_article(name)
    why = f"{there.capitalize()} can be seen." if wants_yes else f"No {name} can be seen."
    return AnsweredDraft(question, "Yes" if wants_yes else "No", why)


def _are_there_as_many(facts: ImageFacts, rng: Random, wants_yes: bool) -> AnsweredDraft | None:
    counts = {name: n for name, n in facts.counts().items() if n > 1}
    if not counts:
        return None
    name = rng.choice(list(counts))
    n = counts[name]
    asked = n if wants_yes else n + (1 if n == 2 else rng.choice((-1, 1)))  # never one: "are there 1 dogs"
    question = f"Are there {asked} {plural(name)} in the picture?"
    return AnsweredDraft(question, "Yes" if wants_yes else "No", f"{n} {plural(name)} are in the picture.")


# matches "What colour is the car?", as write_colour asks
_COLOUR_QUESTION = re.compile(r"What colour (is|are) the (.+)\?")


def _is_it_of_colour(facts: ImageFacts, rng: Random, wants_yes: bool) -> AnsweredDraft | None:
    draft = write_colour(facts, rng)
    found = _COLOUR_QUESTION.fullmatch(draft.question) if draft else None
    if draft is None or found is None:
        return None
    colour = draft.answer if wants_yes else rng.choice(draft.wrong)
    question = f"{found[1].capitalize()} the {found[2]} {colour}?"
    return AnsweredDraft(question, "Yes" if wants_yes else "No", draft.why)


def _how_many(facts: ImageFacts, rng: Random) -> AnsweredDraft | None:
    counts = facts.counts()
    # of several, since one is what would be guessed
    names = [name for name, n in counts.items() if n > 1] or list(counts)
    if not names:
        return None
    name = rng.choice(names)
    n = counts[name]
    seen = f"One {name} is" if n == 1 else f"{n} {plural(name)} are"
    return AnsweredDraft(
        f"How many {plural(name)} are there in the picture?", str(n), f"{seen} in the picture."
    )


def _what_colour(facts: ImageFacts, rng: Random) -> AnsweredDraft | None:
    draft = write_colour(facts, rng)
    return AnsweredDraft(draft.question, draft.answer, draft.why) if draft else None


# By the words of a type's name, as v1, MME, POPE, VQAv2 and GQA call them: "existence", "popular", "how many",
# "what color is the". The writers of the first row that fits are tried in their order.
_YES_NO: list[tuple[str, tuple[_YesNoWriter, ...]]] = [
    ("count|number|how_many", (_are_there_as_many,)),
    ("colou?r", (_is_it_of_colour,)),
    ("attribute", (_is_it_of_colour, _are_there_as_many)),
    ("existence|random|popular|adversarial|object$|identity|is_there|are_there|presence", (_is_there,)),
]
_OPEN: list[tuple[str, tuple[_OpenWriter, ...]]] = [
    ("count|number|how_many", (_how_many,)),
    ("colou?r", (_what_colour,)),
    ("attribute", (_what_colour, _how_many)),
]


def _of_type(table: list[tuple[str, tuple[_W, ...]]], question_type: str) -> tuple[_W, ...]:
    return next((writers for words, writers in table if re.search(words, question_type)), ())
