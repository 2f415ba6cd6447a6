"""Step 3, annotations teacher: questions about what is in the image, what is not, and what the image is about."""

from random import Random

from dataengine_lib.annotations.draft import QaDraft, is_or_are
from dataengine_lib.annotations.facts import VISIBLE_SHARE, ImageFacts
from dataengine_lib.annotations.vocabulary import mention_pattern, with_related_words

_TOPIC_SHARE = 10 * VISIBLE_SHARE  # share of the image that its topic covers at least


def write_present(facts: ImageFacts, rng: Random) -> QaDraft | None:
    """Which of four things is in the image."""
    there, absent = facts.visible_things(), facts.absent_things()
    if not there or len(absent) < 3:
        return None
    name = rng.choice(there)
    question = "Which of these is in the picture?"
    return QaDraft(
        question, name, facts.draw_plausible(rng, absent), f"Of these only the {name} can be seen."
    )


def write_missing(facts: ImageFacts, rng: Random) -> QaDraft | None:
    """Which of four things is not in the image."""
    there, absent = facts.visible_things(), facts.absent_things()
    if len(there) < 3 or not absent:
        return None
    (name,) = facts.draw_plausible(rng, absent, 1)
    question = "Which of these is not in the picture?"
    why = f"No {name} {is_or_are(name)} to be seen, while the others are there."
    return QaDraft(question, name, tuple(rng.sample(there, 3)), why)


def write_topic(facts: ImageFacts, rng: Random) -> QaDraft | None:
    """What the image is about: the only thing that every caption names, if it is large."""
    absent = facts.absent_things()
    named = [
        name
        for name in facts.boxes
        if all(mention_pattern(with_related_words(name)).search(caption) for caption in facts.captions)
    ]
    if len(named) != 1 or len(facts.captions) < 3 or len(absent) < 3 or facts.area(named[0]) < _TOPIC_SHARE:
        return None
    why = f"The picture is about the {named[0]}; the others are not in it."
    return QaDraft("Which of these is the picture about?", named[0], facts.draw_plausible(rng, absent), why)
