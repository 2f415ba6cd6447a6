"""Step 3, annotations teacher: what is in the picture, what is not, and what it is about."""

from random import Random

from dataengine_lib.annotations.draft import Draft, is_are
from dataengine_lib.annotations.facts import SEEN, Facts
from dataengine_lib.annotations.vocabulary import mention, names_of


def present(facts: Facts, rng: Random) -> Draft | None:
    """A thing that is there among three that are not."""
    there, absent = facts.present(), facts.absent()
    if not there or len(absent) < 3:
        return None
    name = rng.choice(there)
    question = "Which of these is in the picture?"
    return Draft(question, name, facts.drawn(rng, absent), f"Of these only the {name} can be seen.")


def missing(facts: Facts, rng: Random) -> Draft | None:
    """A thing that is not there among three that are."""
    there, absent = facts.present(), facts.absent()
    if len(there) < 3 or not absent:
        return None
    (name,) = facts.drawn(rng, absent, 1)
    question = "Which of these is not in the picture?"
    why = f"No {name} {is_are(name)} to be seen, while the others are there."
    return Draft(question, name, tuple(rng.sample(there, 3)), why)


def topic(facts: Facts, rng: Random) -> Draft | None:
    """What every caption names and nothing in the picture outdoes."""
    absent = facts.absent()
    named = [
        name
        for name in facts.boxes
        if all(mention(names_of(name)).search(caption) for caption in facts.captions)
    ]
    if len(named) != 1 or len(facts.captions) < 3 or len(absent) < 3 or facts.area(named[0]) < 10 * SEEN:
        return None
    why = f"The picture is about the {named[0]}; the others are not in it."
    return Draft("Which of these is the picture about?", named[0], facts.drawn(rng, absent), why)
