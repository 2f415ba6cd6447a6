"""Step 1, `student: recorded:FILE`: the sample logs of lmms-eval, generated answers or option likelihoods."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from dataengine_lib.core.records import Question
from dataengine_lib.errors import DataEngineError
from dataengine_lib.evaluation.answers import Said
from dataengine_lib.evaluation.recorded.entries import (
    Entries,
    Entry,
    Fault,
    Join,
    clean,
    differs,
    folded,
    key_of,
    other_answer,
    shown,
)
from dataengine_lib.questions.reader import Skipped
from dataengine_lib.replies.answer_choice import written_choice

_JOINS = (
    Join("doc.question_id", "question_id"),
    Join("doc.index", "question_id"),
    Join("doc.index", "place"),
    Join("doc_id", "place"),
)


def read_samples(file: Path) -> Entries | None:
    """The lines of a `*_samples_*.jsonl`, None when no line is lmms-eval's; a torn last line is left out.

    Multiple-choice tasks log mean losses (the lowest wins) for most models and log-likelihoods for others; the
    sign tells which. Raises DataEngineError when a file has both.
    Source: lmms-eval's Task.process_results (argmin of what its models' loglikelihood() returns, e.g. llava.py).
    """
    found = _lines(file.read_bytes().split(b"\n"))
    answers = {
        line: _given(row.get("filtered_resps") or row.get("resps"))
        for line, row in found.items()
        if isinstance(row, dict)
    }
    if not answers:
        return None
    numbers = [n for given in answers.values() for n in given.numbers if isfinite(n)]
    losses = any(number > 0 for number in numbers)
    if losses and any(number < 0 for number in numbers):
        raise DataEngineError(
            f"{file}: filtered_resps hold numbers above and below 0, so losses cannot be told from "
            "log-likelihoods; give one task's log of one model"
        )
    entries: list[Entry | Skipped] = []
    for line, row in found.items():
        if isinstance(row, Skipped):
            entries.append(row)
            continue
        doc = row["doc"] if isinstance(row.get("doc"), dict) else {}
        keys = {f"doc.{field}": key_of(doc.get(field)) for field in ("question_id", "index")}
        sample = _Sample(answers[line], losses, row.get("target"), doc)
        entries.append(Entry(line, keys | {"doc_id": key_of(row["doc_id"])}, sample.said))
    kind = "losses, the lowest wins" if losses else "log-likelihoods" if numbers else "written answers"
    return Entries(f"lmms-eval samples ({kind})", _JOINS, entries)


def _lines(lines: Sequence[bytes]) -> dict[str, dict[str, Any] | Skipped]:
    found: dict[str, dict[str, Any] | Skipped] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        name = f"line {number}"
        try:
            row = json.loads(line)  # msgspec refuses a metric that is NaN
        except (ValueError, RecursionError) as error:
            if number < len(lines):
                found[name] = Skipped(name, f"no JSON: {error}", "malformed row")
            continue
        if isinstance(row, dict) and "doc_id" in row and ("filtered_resps" in row or "resps" in row):
            found[name] = row
        else:
            found[name] = Skipped(name, "has no doc_id or no filtered_resps", "malformed row")
    return found


@dataclass(frozen=True)
class _Given:
    """What the model gave: one number per choice, or a text per try."""

    numbers: list[float]
    texts: list[str]


@dataclass(frozen=True)
class _Sample:
    """A line of the log."""

    given: _Given
    losses: bool
    target: Any
    doc: dict[str, Any]

    def said(self, question: Question) -> Said | Fault:
        choices = question.choices
        if fault := self._other(question):
            return fault
        numbers, texts = self.given.numbers, self.given.texts
        if not numbers:
            read = {written_choice(text, question.choices) for text in texts}
            return Said(read.pop() if len(read) == 1 else None, written="\n".join(texts))
        if len(numbers) != len(choices):
            return "other choices", f"{len(numbers)} likelihoods for {len(choices)} choices: other questions?"
        if not all(map(isfinite, numbers)):
            return Said(None, written=str(numbers))
        scores = [0.0 - number if self.losses else number for number in numbers]
        best = scores.index(max(scores))
        return Said(best, scores, written=choices[best])

    def _other(self, question: Question) -> Fault | None:
        """What in the line speaks against this question; a task may have put more around its text."""
        target = "" if self.target is None else clean(_unpacked(self.target))
        choices, text, given = question.choices, self.doc.get("question"), self.doc.get("choices")
        if isinstance(text, str) and folded(question.question) not in folded(text):
            hint = self.doc.get("hint")
            if fault := differs(question, text, choices, hint if isinstance(hint, str) else ""):
                return fault
        if (
            isinstance(given, list)
            and sorted(map(str, given)) == sorted(choices)
            and [*map(str, given)] != choices
        ):
            return "other choices", f"choices {shown(given)} stand in another order in the question file"
        return other_answer(question, "target", target)


def _given(responses: Any) -> _Given:
    """Generated texts, or the numbers of `[number, is_greedy]` pairs; lists of one are unpacked."""
    given = _unpacked(responses)
    parts = [_unpacked(part) for part in given] if isinstance(given, list) else [given]
    numbers = [number for part in parts if (number := _number(part)) is not None]
    if numbers and len(numbers) == len(parts):
        return _Given(numbers, [])
    return _Given([], list(dict.fromkeys("" if part is None else clean(part) for part in parts)))


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
