"""After step 4: each record several times in an export of chats, with its options in a new order each time."""

from collections.abc import Sequence
from random import Random

import msgspec

from dataengine_lib.exports.records import ExportOptions, ExportRow
from dataengine_lib.training.texts import with_options_shuffled


def with_copies(rows: Sequence[ExportRow], options: ExportOptions) -> list[ExportRow]:
    """All rows `options.copies` times, one pass after the other; the same seed gives the same orders of options.

    With `shuffle_options` every copy has an order of its own, the first one too. The ids of later copies end in `-copy2`,
    `-copy3`, ….
    """
    rng, copies = Random(f"export {options.seed}"), list[ExportRow]()
    for number in range(1, options.copies + 1):
        for row in rows:
            question = row.question
            if options.shuffle_options:
                question = with_options_shuffled(question, options.text_format, rng)
            if number > 1:
                question = msgspec.structs.replace(
                    question, question_id=f"{question.question_id}-copy{number}"
                )
            copies.append(ExportRow(row.record, question))
    return copies
