"""Step 4: which texts of a QA may name its choices, by letter or by place; looked for while replies are parsed."""

from collections.abc import Sequence

import msgspec

from dataengine_lib.core.records import shows_options
from dataengine_lib.replies.letter_mentions import mentioned, names_places


# gc=False: its fields cannot be part of a reference cycle, so the garbage collector need not track it
class ChoiceMentions(msgspec.Struct, array_like=True, gc=False):
    """`order_stays`: the question or a choice names one, so that their order must stay; `rationales`: see `mentioned`.

    QAs whose options are not shown have none.
    """

    order_stays: bool = False
    rationales: list[str] = []


def choice_mentions(
    question: str, choices: Sequence[str], rationales: Sequence[str], answer_kind: str
) -> ChoiceMentions:
    """The mentions in the texts of a QA."""
    if not shows_options(answer_kind):
        return ChoiceMentions()
    number = len(choices)
    if names_places(question, *choices, count=number):
        return ChoiceMentions(order_stays=True)
    return ChoiceMentions(rationales=[mentioned(text, number) for text in rationales])
