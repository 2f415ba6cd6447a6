"""Step 1, `student: recorded:FILE`: sample logs of lmms-eval, with generated answers or option likelihoods."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from dataengine_lib.core.bad_rows import BadRow
from dataengine_lib.core.records import OPEN, Question
from dataengine_lib.core.text import caseless_composed
from dataengine_lib.errors import DataEngineError
from dataengine_lib.evaluation.answers import StudentAnswer, read_answer
from dataengine_lib.evaluation.recorded.entries import (
    Entries,
    Entry,
    JoinKey,
    Mismatch,
    answer_mismatch,
    join_key,
    shortened,
    text_mismatch,
    utf8_safe,
)
from dataengine_lib.evaluation.recorded.sample_filters import filters_of

# tried in this order; `doc` is the data set's own row, `doc_id` its number in the data set
_JOINS = (
    JoinKey("doc.question_id", "question_id"),
    JoinKey("doc.index", "question_id"),
    JoinKey("doc.index", "place"),
    JoinKey("doc_id", "place"),
)


def is_sample(row: Any) -> bool:
    """Whether a row is a sample: a `doc_id` and the model's responses."""
    return isinstance(row, Mapping) and "doc_id" in row and ("filtered_resps" in row or "resps" in row)


def sample_entries(
    file: Path, rows: Sequence[tuple[str, Mapping[str, Any] | BadRow]], wanted_filter: str = ""
) -> Entries | None:
    """The samples of a `*_samples_*.jsonl` or of the `logs` of older versions; None when no row is one.

    Multiple-choice tasks log mean losses (the lowest wins) for most models and log-likelihoods (the highest wins) for
    others; losses are positive and log-likelihoods negative. Raises DataEngineError when a file has both, or several
    filters' responses and `wanted_filter` names none of them.
    Source: lmms-eval's Task.process_results (argmin of what its models' loglikelihood() returns, e.g. llava.py).
    """
    samples = {where: row for where, row in rows if not isinstance(row, BadRow) and is_sample(row)}
    if not samples:
        return None
    filters = filters_of(file, samples, wanted_filter)
    answers = {
        where: _response(filters.response(row))
        for where, row in samples.items()
        if where not in filters.left_out
    }
    numbers = [n for given in answers.values() for n in given.numbers if isfinite(n)]
    # a log-likelihood is never positive, a loss never negative
    losses = any(number > 0 for number in numbers)
    if losses and any(number < 0 for number in numbers):
        raise DataEngineError(
            f"{file}: filtered_resps hold numbers above and below 0, so losses cannot be distinguished from "
            "log-likelihoods; give one task's log of one model"
        )
    entries: list[Entry | BadRow] = []
    for where, row in rows:
        if isinstance(row, BadRow):
            entries.append(row)
        elif where in answers:
            entries.append(_entry(where, row, answers[where], losses))
        elif where not in filters.left_out:
            entries.append(BadRow(where, "has no doc_id or no filtered_resps", "malformed row"))
    kind = "losses, the lowest wins" if losses else "log-likelihoods" if numbers else "written answers"
    return Entries(f"lmms-eval samples ({kind}{filters.note})", _JOINS, entries)


def _entry(where: str, row: Mapping[str, Any], response: "_Response", losses: bool) -> Entry:
    doc = row["doc"] if isinstance(row.get("doc"), dict) else {}
    keys = {f"doc.{field}": join_key(doc.get(field)) for field in ("question_id", "index")}
    sample = _Sample(response, losses, row.get("target"), doc)
    return Entry(where, keys | {"doc_id": join_key(row["doc_id"])}, sample.answer_to)


@dataclass(frozen=True)
class _Response:
    """The model's response: one number per choice, or one text per attempt."""

    numbers: list[float]
    texts: list[str]


@dataclass(frozen=True)
class _Sample:
    """A line of the log; with `losses` its numbers are losses, else log-likelihoods."""

    response: _Response
    losses: bool
    target: Any
    doc: dict[str, Any]

    def answer_to(self, question: Question) -> StudentAnswer | Mismatch:
        choices = question.choices
        if mismatch := self._mismatch(question):
            return mismatch
        numbers, texts = self.response.numbers, self.response.texts
        if not numbers:
            if question.answer_kind == OPEN:  # of several attempts the first counts, as in lmms-eval
                return read_answer(question, texts[0] if texts else "")
            # several attempts count when they name the same option
            read = {read_answer(question, text).choice for text in texts}
            return StudentAnswer(read.pop() if len(read) == 1 else None, written="\n".join(texts))
        if len(numbers) != len(choices):
            return "other choices", f"{len(numbers)} likelihoods for {len(choices)} choices: other questions?"
        if not all(map(isfinite, numbers)):
            return StudentAnswer(None, written=str(numbers))
        # 0.0 - number, not -number: a loss of 0 gives 0.0 and not -0.0
        scores = [0.0 - number if self.losses else number for number in numbers]
        best = scores.index(max(scores))
        return StudentAnswer(best, scores, written=choices[best])

    def _mismatch(self, question: Question) -> Mismatch | None:
        """Why the line is about another question, None when it is about this one.

        A task may have put more text around the question, which is fine.
        """
        target = "" if self.target is None else utf8_safe(_unpacked(self.target))
        choices, text, given = question.choices, self.doc.get("question"), self.doc.get("choices")
        # here the text alone is compared, with the question's own choices; the doc's choices follow below
        if isinstance(text, str) and caseless_composed(question.question) not in caseless_composed(text):
            hint = self.doc.get("hint")
            if mismatch := text_mismatch(question, text, choices, hint if isinstance(hint, str) else ""):
                return mismatch
        if (
            # choices in another form, such as `A. dog`, are not compared
            isinstance(given, list)
            and sorted(map(str, given)) == sorted(choices)
            and [*map(str, given)] != choices
        ):
            return "other choices", f"choices {shortened(given)} are in another order in the question file"
        return answer_mismatch(question, "target", target)


def _response(responses: Any) -> _Response:
    """Generated texts, or the numbers of `[number, is_greedy]` pairs; lists of one element are unpacked."""
    # `[[["1.9", "False"]], [["0.4", "True"]]]` gives the numbers 1.9 and 0.4, `[["B. cat"]]` the text
    given = _unpacked(responses)
    parts = [_unpacked(part) for part in given] if isinstance(given, list) else [given]
    numbers = [number for part in parts if (number := _number(part)) is not None]
    if numbers and len(numbers) == len(parts):
        return _Response(numbers, [])
    return _Response([], list(dict.fromkeys("" if part is None else utf8_safe(part) for part in parts)))


def _unpacked(given: Any) -> Any:
    while isinstance(given, list) and len(given) == 1:
        given = given[0]
    return given


def _number(pair: Any) -> float | None:
    """The number of a `[number, is_greedy]` pair; lmms-eval writes both as text."""
    if not isinstance(pair, list) or len(pair) != 2 or str(pair[1]).lower() not in ("true", "false"):
        return None
    try:
        return float(pair[0])
    except (TypeError, ValueError):
        return None
