"""Columns of all frames (steps 1 to 6): one name, dtype and meaning each, and which frame has which."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import pandas as pd


class Column(NamedTuple):
    """A column's dtype, the same in an empty frame, and what its values mean."""

    dtype: str
    meaning: str


_TEXT, _COUNT, _NUMBER, _FLAG, _LIST = "str", "int64", "float64", "bool", "object"
_MAYBE = "Int64"  # an integer, or missing

FRAME_COLUMNS: dict[str, Column] = {
    # where a row comes from
    "round": Column(_COUNT, "round of the loop; that of the last evaluation is one more; 0 outside a run"),
    "evaluation": Column(_TEXT, "evaluation as step 6 names it: before, after round 1, …"),
    "before": Column(_TEXT, "the earlier one of two evaluations"),
    "after": Column(_TEXT, "the later one of two evaluations"),
    "folder": Column(_TEXT, "folder of the round below the run's; empty: the folder itself"),
    "part": Column(_TEXT, "part of the path: answer, bad case, query, reply or record"),
    # the question
    "split": Column(_TEXT, "diagnose or holdout"),
    "question_type": Column(_TEXT, "question type"),
    "question_id": Column(_TEXT, "id of a question of the evaluation; its idx where it has none"),
    "image_id": Column(_TEXT, "id of the image, as text; empty where only its path is known"),
    "image_path": Column(_TEXT, "path of the image below its image root"),
    "answer_kind": Column(_TEXT, "choice, yes_no or open"),
    "question": Column(_TEXT, "text of the question"),
    "choices": Column(_LIST, "list of the options' texts; empty for an open-ended question"),
    "correct_choice_idx": Column(_COUNT, "place of the right option among the choices, from 0; -1: none"),
    "right_letter": Column(_TEXT, "letter of the right option; empty where no options are shown"),
    "right_answer": Column(_TEXT, "text of the right option, or the most frequent accepted answer"),
    # the student's answer
    "predicted_choice_idx": Column(_COUNT, "place of the option that the student chose; -1: it names none"),
    "chosen_letter": Column(_TEXT, "letter of the option that the student chose; empty: none"),
    "model_answer": Column(_TEXT, "text of the student's answer"),
    "scores": Column(_LIST, "list of a score per option, higher is better; empty where the answer was written"),
    "confidence": Column(_NUMBER, "softmax of the scores at the chosen option, 0 to 1; NaN without scores"),
    "score": Column(_NUMBER, "score of the answer, 0 to 1; between them only for open-ended questions"),
    "correct": Column(_FLAG, "whether the answer counts as right; in types and rounds: how many do"),
    "written": Column(_TEXT, "text that the choice was read from"),
    "direct_answers": Column(_LIST, "list of the accepted answers without options; empty where the set has none"),
    "direct_answer": Column(_TEXT, "the student's answer without options; empty where it was not asked for"),
    "direct_answer_score": Column(_NUMBER, "score of the direct answer, 0 to 1; NaN where it was not asked for"),
    "probe": Column(_TEXT, "how it was asked: blind, panel, circular, reverse, or what contamination changed"),
    "variant": Column(_TEXT, "name of the panel's set; of circular, by how many places the options are rotated"),
    "outcome": Column(_TEXT, "fixed, broken, still wrong or still right in the later evaluation; empty: not known"),
    "answer_before": Column(_TEXT, "the student's answer in the earlier evaluation"),
    "answer_after": Column(_TEXT, "the student's answer in the later evaluation"),
    "confidence_before": Column(_NUMBER, "confidence in the earlier evaluation"),
    "confidence_after": Column(_NUMBER, "confidence in the later evaluation"),
    # queries and replies
    "query_id": Column(_TEXT, "id of the query"),
    "anchor_image_id": Column(_TEXT, "id of the first example's image"),
    "anchor_image_path": Column(_TEXT, "path of the first example's image"),
    "neighbour": Column(_FLAG, "whether the image was drawn among the anchor's neighbours, else at random"),
    "similarity": Column(_NUMBER, "cosine of image and anchor; NaN where the image is no neighbour"),
    "example_ids": Column(_LIST, "list of the question_ids of the bad cases in the prompt"),
    "role": Column(_TEXT, "what the bad case is in the query: anchor (an example, and its image is the anchor) or example"),
    "cause": Column(_TEXT, "what the examples have in common; empty: not known"),
    "template": Column(_TEXT, "prompt template"),
    "prompt": Column(_TEXT, "prompt that the teacher gets"),
    "status": Column(_TEXT, "what became of the row, in the words of the table of its frame"),
    "reason": Column(_TEXT, "why a reply failed or a QA was dropped"),
    "detail": Column(_TEXT, "more about the reason"),
    "model": Column(_TEXT, "teacher"),
    "finish_reason": Column(_TEXT, "why the reply ended: stop, length, …"),
    "prompt_tokens": Column(_COUNT, "tokens of the prompts"),
    "cached_tokens": Column(_COUNT, "those of the prompt tokens that came from the server's cache"),
    "completion_tokens": Column(_COUNT, "tokens of the replies"),
    "cost_usd": Column(_NUMBER, "US dollars; NaN where not known; queries that are one request cost at the first"),
    "request_key": Column(_TEXT, "key of the request in the ledger"),
    "raw_instructions": Column(_TEXT, "reply as text"),
    # QAs
    "record_id": Column(_TEXT, "id of the QA; empty where a whole reply was dropped"),
    "kept": Column(_FLAG, "whether the QA is in the training data; in types and rounds: how many are"),
    "marks": Column(_LIST, "list of the checks that the QA fails, by their parameters: box_check, leaks, …"),
    "rationales": Column(_LIST, "list of the teacher's explanations"),
    "short_answer": Column(_TEXT, "answer without the choices"),
    "review": Column(_TEXT, "a person's decision: accept, edit or empty"),
    "box_check": Column(_TEXT, "supported or refuted by boxes; empty: not known"),
    "student_answer": Column(_MAYBE, "place of the option that the student chose"),
    "student_probability": Column(_NUMBER, "the student's probability of the right option"),
    "second_answer": Column(_MAYBE, "place of the second readers' option; -1: none"),
    "blind_answer": Column(_MAYBE, "place of the option of the readers without the image; -1: none"),
    "blind_score": Column(_NUMBER, "probability of the right option by the words alone"),
    "leak": Column(_TEXT, "what the QA shares with the evaluation"),
    "near_duplicate_of": Column(_TEXT, "record_id of a QA that asks nearly the same"),
    # figures of a type or a round
    "questions": Column(_COUNT, "questions"),
    "accuracy": Column(_NUMBER, "mean score of all questions, 0 to 1; NaN without questions"),
    "low": Column(_NUMBER, "lower end of the accuracy's 95 % interval, clustered by image"),
    "high": Column(_NUMBER, "upper end of the accuracy's 95 % interval"),
    **{
        f"{split}_{name}": Column(dtype, f"{name} of the {split} split")
        for split in ("diagnose", "holdout")
        for name, dtype in (("questions", _COUNT), ("accuracy", _NUMBER), ("low", _NUMBER), ("high", _NUMBER))
    },
    "weight": Column(_NUMBER, "the type's weight in step 2; NaN without weights"),
    "bad_cases": Column(_COUNT, "bad cases"),
    "queries": Column(_COUNT, "queries"),
    "replies": Column(_COUNT, "replies that can be used"),
    "failed": Column(_COUNT, "queries without a usable reply"),
    "dropped": Column(_COUNT, "QAs and replies that were dropped"),
    "seconds": Column(_NUMBER, "time of the round's steps, notebooks included; NaN where not known"),
}  # fmt: skip

_QUESTION = "split question_type question_id image_id image_path"
_ANSWERS = (
    f"round evaluation {_QUESTION} answer_kind question choices right_letter right_answer chosen_letter model_answer "
    "confidence correct score scores correct_choice_idx predicted_choice_idx written"
)
_DIRECT = "direct_answers direct_answer direct_answer_score"
_ACCURACIES = (
    "questions correct accuracy low high diagnose_questions diagnose_accuracy diagnose_low diagnose_high "
    "holdout_questions holdout_accuracy holdout_low holdout_high"
)
_QUERY = "round query_id question_type image_id image_path"

FRAMES: dict[str, tuple[str, ...]] = {
    name: tuple(names.split())
    for name, names in {
        "answers": f"{_ANSWERS} {_DIRECT}",
        "bad_cases": f"{_ANSWERS} {_DIRECT} outcome",
        "probe_answers": f"round evaluation probe variant {_ANSWERS.removeprefix('round evaluation ')}",
        "queries": f"{_QUERY} anchor_image_id anchor_image_path neighbour similarity example_ids cause answer_kind "
        "template prompt",
        "replies": f"{_QUERY} status reason model finish_reason prompt_tokens cached_tokens completion_tokens cost_usd "
        "request_key raw_instructions",
        "records": f"round record_id {_QUERY.removeprefix('round ')} kept reason detail marks question choices "
        "right_letter right_answer correct_choice_idx rationales short_answer answer_kind review box_check "
        "student_answer student_probability second_answer blind_answer blind_score leak near_duplicate_of example_ids "
        "cause model request_key raw_instructions",
        "comparison": f"before after {_QUESTION} question right_answer answer_before answer_after confidence_before "
        "confidence_after outcome",
        "types": f"round evaluation question_type {_ACCURACIES} weight bad_cases queries replies kept dropped",
        "rounds": f"round evaluation folder {_ACCURACIES} bad_cases queries replies failed kept dropped cost_usd seconds",
        "trace": "round part status reason role question_type question_id query_id record_id image_id image_path "
        "similarity question right_answer model_answer",
    }.items()
}
"""The columns of each frame, in order."""

_COUNTED = {
    "types": ("correct", "kept"),
    "rounds": ("correct", "kept"),
}  # numbers there, flags of single rows elsewhere
_MOST = 2**63 - 1  # of an int64; files of other programs may hold any number
_MISSING: dict[str, object] = {_TEXT: "", _COUNT: 0, _NUMBER: float("nan"), _FLAG: False, _MAYBE: None}


def frame_dtypes(frame: str) -> dict[str, str]:
    """The dtype of each column of a frame, in order."""
    counted = _COUNTED.get(frame, ())
    return {name: _COUNT if name in counted else FRAME_COLUMNS[name].dtype for name in FRAMES[frame]}


def make_frame(frame: str, rows: Sequence[Mapping[str, Any]]) -> "pd.DataFrame":
    """The frame of that name, one row for each of `rows`: its values by column; what is left out counts as missing.

    Missing is an empty text or list, 0, NaN, False or, of Int64, NA. Texts stay texts: nothing of them is evaluated.
    """
    import pandas as pd  # here, so that steps which show no frame do not wait for it

    columns = {}
    for name, dtype in frame_dtypes(frame).items():
        if dtype == _LIST:
            columns[name] = pd.Series([row.get(name, []) for row in rows], dtype=dtype)
            continue
        missing = _MISSING[dtype]
        values: list[Any] = [row.get(name, missing) for row in rows]
        if None in values:  # files have it as well, for what a check could not judge
            values = [missing if value is None else value for value in values]
        try:
            columns[name] = pd.Series(values, dtype=dtype)
        except OverflowError:
            values = [value if value is None else min(max(value, -_MOST), _MOST) for value in values]
            columns[name] = pd.Series(values, dtype=dtype)
    return pd.DataFrame(columns)
