"""Step 1, `student: recorded:FILE`: answer files of LLaVA's evaluation scripts, which v2's MiniGPT-4 writes as well."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from dataengine_lib.core.bad_rows import MALFORMED, BadRow
from dataengine_lib.core.records import Question, shows_options
from dataengine_lib.core.text import caseless_composed
from dataengine_lib.evaluation.answers import StudentAnswer, read_answer
from dataengine_lib.evaluation.recorded.entries import (
    Entries,
    Entry,
    JoinKey,
    Mismatch,
    join_key,
    shortened,
    utf8_safe,
)

_VQA_RESULT = {"question_id", "answer"}  # all keys of a row of VQA's results


def answer_file_entries(rows: Sequence[tuple[str, Mapping[str, Any] | BadRow]]) -> Entries | None:
    """JSON lines with question_id, prompt and text; None where the first object lacks question_id or text.

    Or a list of `{question_id, answer}` and nothing else, as VQA's evaluation server takes it.

    Source: visualqa.org's results format. LLaVA's llava/eval/model_vqa_loader.py.
    MLLM-DataEngine's MiniGPT-4/eval_scripts/eval_vqa.py (`seed.jsonl`, `mmbench.jsonl`).
    """
    first = next((row for _, row in rows if isinstance(row, Mapping)), {})
    of_vqa = set(first) == _VQA_RESULT
    if not of_vqa and not {"question_id", "text"} <= set(first):
        return None
    key = "answer" if of_vqa else "text"
    entries = [row if isinstance(row, BadRow) else _entry(where, row, key) for where, row in rows]
    return Entries(
        "VQA results" if of_vqa else "LLaVA answers", (JoinKey("question_id", "question_id"),), entries
    )


def _entry(where: str, row: Mapping[str, Any], key: str) -> Entry | BadRow:
    text, prompt = row.get(key), row.get("prompt") or ""
    if not isinstance(text, str) or not isinstance(prompt, str):
        return BadRow(where, f"{key} and prompt have to be texts", MALFORMED)
    answer = _Written(utf8_safe(text), utf8_safe(prompt))
    return Entry(where, {"question_id": join_key(row.get("question_id"))}, answer.answer_to)


class _Written(msgspec.Struct):
    """What was asked, and what the student wrote."""

    text: str
    prompt: str

    def answer_to(self, question: Question) -> StudentAnswer | Mismatch:
        if self.prompt and (mismatch := self._mismatch(question)):
            return mismatch
        return read_answer(question, self.text)

    def _mismatch(self, question: Question) -> Mismatch | None:
        """A prompt holds the question and, in their order, those of the options that it shows."""
        asked = caseless_composed(self.prompt)
        place = asked.find(caseless_composed(question.question))
        if place < 0:
            shown = shortened(question.question)
            return "another question", f"prompt {shortened(self.prompt)} does not hold the question {shown}"
        options = asked[place + len(caseless_composed(question.question)) :]
        visible = question.choices if shows_options(question.answer_kind) else []
        choices = [caseless_composed(choice) for choice in visible]
        if all(choice in options for choice in choices):
            at = 0
            for choice in choices:
                at = options.find(choice, at) + len(choice)
                if at < len(choice):
                    return (
                        "other choices",
                        f"prompt {shortened(self.prompt)} shows the options in another order",
                    )
        return None
