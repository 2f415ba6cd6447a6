"""Step 1: the answers of the probes (blind, panel, circular, reverse, contamination) as a frame."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from dataengine_lib.core.files import read_json
from dataengine_lib.core.records import ANSWERS_FILE, CHOICE, Answer
from dataengine_lib.evaluation.probes.asking import BLIND_FILE, CONTAMINATION_FILE, PANEL_FOLDER
from dataengine_lib.evaluation.probes.contamination import ProbedAnswer
from dataengine_lib.frames.answers import (
    EvaluatedAnswers,
    answer_columns,
    letter,
    question_columns,
    question_id_of,
    right_text,
)
from dataengine_lib.frames.columns import make_frame
from dataengine_lib.frames.read_files import read_evaluation

if TYPE_CHECKING:
    import pandas as pd

BLIND, PANEL, CIRCULAR, REVERSE = "blind", "panel", "circular", "reverse"


class _Contamination(msgspec.Struct):
    """Of `contamination.json`, the answers to the changed questions."""

    answers: list[ProbedAnswer] = []


class ProbedEvaluation(NamedTuple):
    """An evaluation and the folder in which its probes have written their answers; None where they wrote none."""

    evaluated: EvaluatedAnswers
    folder: Path | None


def probe_answers_frame(evaluations: Iterable[ProbedEvaluation], warnings: list[str]) -> "pd.DataFrame":
    """Every answer of the probes, by evaluation and probe; a line in `warnings` for each file with rows left out.

    The rotations and the reverse order of the options are read from the answers themselves. Raises DataEngineError for a
    file that cannot be read.
    """
    return make_frame(
        "probe_answers", [row for one in evaluations for row in _rows(one.evaluated, one.folder, warnings)]
    )


def _rows(one: EvaluatedAnswers, folder: Path | None, warnings: list[str]) -> Iterator[dict[str, Any]]:
    if folder is not None:
        yield from _whole(one, BLIND, "", read_evaluation(folder / BLIND_FILE, warnings))
        for file in sorted(folder.glob(f"{PANEL_FOLDER}/*/{ANSWERS_FILE}")):
            yield from _whole(one, PANEL, file.parent.name, read_evaluation(file, warnings))
    for answer in one.answers:
        if not isinstance(answer.rotated_choice_idx, msgspec.UnsetType):
            for by, chosen in enumerate(answer.rotated_choice_idx, 1):
                yield _other_order(one, answer, CIRCULAR, str(by), chosen)
        if answer.reversed_choice_idx is not None:
            yield _other_order(one, answer, REVERSE, "", answer.reversed_choice_idx)
    if folder is not None and (folder / CONTAMINATION_FILE).is_file():
        yield from _changed(one, folder / CONTAMINATION_FILE)


def _whole(
    one: EvaluatedAnswers, probe: str, variant: str, answers: Sequence[Answer]
) -> Iterator[dict[str, Any]]:
    """Rows of a file that has the fields of `aokvqa_eval.json`."""
    return (answer_columns(one, answer) | {"probe": probe, "variant": variant} for answer in answers)


def _other_order(
    one: EvaluatedAnswers, answer: Answer, probe: str, variant: str, chosen: int
) -> dict[str, Any]:
    """The answer with its options in another order; places are those of `choices`, as the question has them."""
    right = chosen == answer.correct_choice_idx >= 0
    return answer_columns(one, answer) | {
        "probe": probe,
        "variant": variant,
        "predicted_choice_idx": chosen,
        "chosen_letter": letter(chosen, answer.answer_kind or CHOICE),
        "model_answer": answer.choices[chosen] if 0 <= chosen < len(answer.choices) else "",
        "correct": right,
        "score": float(right),
        # those of the order as asked
        "scores": [],
        "confidence": None,
        "written": "",
    }


def _changed(one: EvaluatedAnswers, file: Path) -> Iterator[dict[str, Any]]:
    """Rows of `contamination.json`, with type, split and image of the question as asked."""
    asked = {question_id_of(answer): answer for answer in one.answers}
    rows: _Contamination = read_json(file, _Contamination)
    for row in rows.answers:
        name = row.question_id or str(row.idx)
        known = asked.get(name)
        right = _place(right_text(known), row.choices) if known else -1
        chosen = _place(row.model_answer, row.choices)
        kind = (known.answer_kind if known else "") or CHOICE
        yield (question_columns(known) if known else {"question_id": name}) | {
            "round": one.round,
            "evaluation": one.name,
            "probe": row.change,
            "answer_kind": kind,
            "question": row.question,
            "choices": row.choices,
            "correct_choice_idx": right,
            "right_letter": letter(right, kind),
            "predicted_choice_idx": chosen,
            "chosen_letter": letter(chosen, kind),
            "model_answer": row.model_answer,
            "correct": row.score == 1,
            "score": row.score,
        }


def _place(text: str, choices: Sequence[str]) -> int:
    return choices.index(text) if text in choices else -1
