"""What to do next about a question type (all steps): sentences with the parameter that does it, from its figures."""

from collections.abc import Iterator

from dataengine_lib.core.statistics import FEW_OF_TYPE
from dataengine_lib.evaluation.rounds.figures import GainVerdict
from dataengine_lib.report.type_pages.figures import TypeStory, most_frequent

LITTLE_KEPT = 0.5  # share of kept QAs below which most of the money is lost
FEW_REPLIES = 10  # with fewer, the share of kept QAs says little


def next_steps(story: TypeStory, gain: GainVerdict | None) -> list[str]:
    """Sentences, the most urgent first; `gain` is the last evaluation against the first, where they were compared."""
    found = [*_on_questions(story), *_on_queries(story), *_on_replies(story), *_on_gain(story, gain)]
    return found or ["Nothing stands out: go on with the next round."]


def _on_questions(story: TypeStory) -> Iterator[str]:
    asked = story.evaluated
    if not asked:
        yield "No question of this type is evaluated: add some, else no gain of it can be seen."
    elif asked[-1].questions < FEW_OF_TYPE:
        number = asked[-1].questions
        asks = f"{number:,} {_plural(number, 'question')}"
        yield f"Only {asks} of it: add questions to the evaluation before trusting a gain."


def _on_queries(story: TypeStory) -> Iterator[str]:
    cases, queries = story.total("bad_cases"), story.total("queries")
    if not cases:
        if story.evaluated:
            yield "The student has no bad case of it to show the teacher: nothing needs to be asked about it."
    elif not queries:
        yield (
            f"It has {cases:,} bad {_plural(cases, 'case')} and no query: set targets of construct_queries for it, or "
            "another weight_rule of evaluate."
        )


def _on_replies(story: TypeStory) -> Iterator[str]:
    kept, dropped = story.total("kept") or 0, story.total("dropped") or 0
    written = kept + dropped
    if written < FEW_REPLIES or kept / written >= LITTLE_KEPT:
        return
    why = ", ".join(f"{reason} ({number:,})" for reason, number in most_frequent(story.reasons, 2))
    yield (
        f"Only {kept:,} of {written:,} QAs are kept, most often dropped because: {why}. Look at the dropped ones below; "
        "another template or teacher may serve this type better, spare_share replaces replies that skip."
    )


def _on_gain(story: TypeStory, gain: GainVerdict | None) -> Iterator[str]:
    if gain is None:
        return
    trained = story.total("kept") or 0
    if gain.verdict == "gain":
        yield "The gain is real: another round with this type is worth its cost while bad cases are left."
    elif gain.verdict == "loss":
        yield (
            "It got worse: look at what broke below, check that its QAs are right, and consider replay_types of fine_tune "
            "against forgetting."
        )
    elif trained and gain.verdict == "unclear":
        yield (
            f"{trained:,} QAs did not move it beyond chance: read the kept ones below as a student would, and compare "
            "them with the bad cases; weight_rule: progress gives such types less."
        )


def _plural(number: float, noun: str) -> str:
    return noun if number == 1 else f"{noun}s"
