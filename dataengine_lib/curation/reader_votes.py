"""Step 4: all readers of one kind answer the questions, and a rule says whether they find the teacher's answer."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from dataengine_lib.chat.settings import ChatSettings
from dataengine_lib.core.records import TrainRecord, image_name
from dataengine_lib.curation.candidates import Spool
from dataengine_lib.curation.check_results import CheckResult
from dataengine_lib.curation.counts import ReaderCount, right_place
from dataengine_lib.curation.readers.agreement import Agreement, fleiss_kappa
from dataengine_lib.curation.readers.kinds import OTHER_ANSWER, SAME_ANSWER
from dataengine_lib.curation.readers.reader_prompt import ReaderView, reader_order
from dataengine_lib.curation.readers.second_reader import CANNOT_SAY, SecondReader
from dataengine_lib.curation.readers.spec import Reader, VoteRule
from dataengine_lib.curation.settings import CheckSettings
from dataengine_lib.images.pool import ImagePool

_OPEN_ANSWERS = ("the same", "something else")  # SAME_ANSWER and OTHER_ANSWER in words
_BATCH = 2000  # records that are handed to a reader at a time

# The choice that each reader names for one record, in the order of the readers.
Answers = Sequence[int | None]
# What follows from the answers to one record: (record, answers, names of the readers, rule).
VoteResult = Callable[[TrainRecord, Answers, Sequence[str], VoteRule], CheckResult]


def found(record: TrainRecord, answers: Answers, rule: VoteRule) -> bool | None:
    """Whether the readers find the teacher's answer; None when none of them answered.

    Readers without an answer (None) have no vote; one that cannot say (CANNOT_SAY) has not found it.
    """
    votes = [answer == right_place(record) for answer in answers if answer is not None]
    if not votes:
        return None
    if rule == "majority":
        return 2 * sum(votes) > len(votes)
    return all(votes) if rule == "all" else any(votes)


def voted_choice(record: TrainRecord, answers: Answers, rule: VoteRule) -> int:
    """The teacher's choice where the readers find it, else the choice that most of them name instead.

    CANNOT_SAY where two other choices have the same number of votes. At least one reader has to have answered.
    """
    if found(record, answers, rule):
        return right_place(record)
    others = [answer for answer in answers if answer not in (None, right_place(record))]
    most = {answer for answer in others if others.count(answer) == max(map(others.count, others))}
    return most.pop() if len(most) == 1 else CANNOT_SAY


def open_readers(settings: CheckSettings, ledger: Path, pool: ImagePool | None) -> list["OpenReader"]:
    """The readers that `settings` name, in their order; each spends what those before it leave of the budget."""
    opened: list[OpenReader] = []
    for one in settings.readers:
        chat = ChatSettings(
            base_url=one.base_url,
            concurrency=settings.concurrency,
            max_output_tokens=settings.max_output_tokens,
            seed=settings.seed,
        )
        view = ReaderView(pool, one.blind, one.image, settings.image_root)
        asked = SecondReader(
            one.model,
            ledger,
            chat,
            view,
            budget_usd=settings.budget_usd,
            prices=settings.prices,
            before=opened[-1].asked if opened else None,
        )
        opened.append(OpenReader(one, asked))
    return opened


class OpenReader:
    """A reader and what asks it; `count` and `warnings` are complete when it has answered."""

    def __init__(self, reader: Reader, asked: SecondReader) -> None:
        self.reader, self.asked = reader, asked
        shown = "nothing" if reader.blind else "image" if reader.image else "captions and boxes"
        self.count = ReaderCount(shown)
        self.warnings: list[str] = []

    def answers(self, spool: Spool) -> list[int | None]:
        """The index of the choice that it names for each record; CANNOT_SAY, or None without an answer."""
        # in batches, so that the records of a large file are not all in memory
        answers: list[int | None] = []
        failures: set[str] = set()
        records = spool.records()
        while batch := list(islice(records, _BATCH)):
            named, notes = self.asked.answers(batch)
            answers += named
            failures |= set(notes)
            self.count.agrees += sum(
                answer == right_place(record) for record, answer in zip(batch, named, strict=True)
            )
        unasked, name = self.asked.unasked, self.reader.parameter
        if unasked:
            self.warnings.append(f"{name}: {unasked:,} questions were not asked; {self.asked.stopped}")
        # records that were not asked have no answer either, and are counted in the note before
        if unanswered := answers.count(None) - unasked:
            # min, since the order of a set changes from run to run
            self.warnings.append(f"{name}: {unanswered:,} questions got no answer; first: {min(failures)}")
        self.count.said = len(answers) - answers.count(None)
        self.count.cannot_say = answers.count(CANNOT_SAY)
        self.count.usage = self.asked.usage()
        return answers


def second_result(record: TrainRecord, answers: Answers, names: Sequence[str], rule: VoteRule) -> CheckResult:
    """Fails where the second readers do not find the teacher's answer."""
    agree = found(record, answers, rule)
    if agree is None:
        return CheckResult(judged=False)
    columns = {
        "second_answer": voted_choice(record, answers, rule),
        "second_answers": {
            name: answer for name, answer in zip(names, answers, strict=True) if answer is not None
        },
    }
    return CheckResult(columns, True, not agree, _said(record, answers, names))


def blind_result(record: TrainRecord, answers: Answers, names: Sequence[str], rule: VoteRule) -> CheckResult:
    """Fails where the readers without the image find the teacher's answer."""
    agree = found(record, answers, rule)
    if agree is None:
        return CheckResult(judged=False)
    return CheckResult({"blind_answer": voted_choice(record, answers, rule)}, fails=agree)


def _said(record: TrainRecord, answers: Answers, names: Sequence[str]) -> str:
    """What the readers answered, in words: `says 'dog'`, with several `openai:a says 'dog', openai:b cannot tell`."""
    texts = []
    for name, answer in zip(names, answers, strict=True):
        if answer is not None:
            what = repr("cannot tell" if answer == CANNOT_SAY else (record.choices or _OPEN_ANSWERS)[answer])
            texts.append(f"says {what}" if len(names) == 1 else f"{name} says {what}")
    return ", ".join(texts)


def agreement(records: Iterator[TrainRecord], answers: Sequence[Answers], seed: int) -> Agreement:
    """Fleiss' kappa of two or more readers on the questions that all of them answered.

    Categories are the letters under which the readers were shown the choices, in a drawn order that is the same for all
    of them, and "cannot tell". So a teacher that prefers a letter does not make agreement look like chance.
    """
    letters: list[list[int]] = []
    images: list[str] = []
    for record, row in zip(records, answers, strict=True):
        if None not in row:
            # answers to open-ended QAs, which are shown no choices, are their own categories
            order = reader_order(record, seed) or [SAME_ANSWER, OTHER_ANSWER]
            places = {choice: shown for shown, choice in enumerate(order)}
            letters.append([places.get(answer, CANNOT_SAY) for answer in row if answer is not None])
            images.append(image_name(record.image_id, record.image_path))
    # (questions, readers); the last category is CANNOT_SAY
    said = np.array(letters, dtype=int).reshape(len(letters), len(answers[0]) if len(answers) else 0)
    categories = [*range(int(said.max(initial=0)) + 1), CANNOT_SAY]
    counts = np.stack([(said == one).sum(axis=1) for one in categories], axis=1)
    return fleiss_kappa(counts, images)
