"""Step 1: the record of what a student said of one question, as every later step reads it."""

from dataengine_lib.core.records import NO_TYPE, Answer, Question, qa_prompt
from dataengine_lib.evaluation.metrics import direct_answer_score
from dataengine_lib.evaluation.said import Said


def answer_of(question: Question, place: int, split: str, image: str, said: Said) -> Answer:
    """A row of `aokvqa_eval.json`; `place` is the question's number in its file, `image` below the image root."""
    kind = question.question_type or NO_TYPE
    chosen = -1 if said.choice is None else said.choice
    back = said.reversed
    return Answer(
        image_id=question.image_id,
        image_path=image,
        idx=place,
        question=question.question,
        choices=question.choices,
        correct_choice_idx=question.correct_choice_idx,
        direct_answers=question.direct_answers,
        difficult_direct_answer=question.difficult_direct_answer,
        model_answer=question.choices[chosen] if chosen >= 0 else "",
        question_type=kind,
        prompt=qa_prompt(question.question, question.choices, question.correct_choice_idx, kind),
        question_id=question.question_id,
        split=split,
        rationales=question.rationales,
        predicted_choice_idx=chosen,
        correct=chosen == question.correct_choice_idx,
        scores=said.scores,
        direct_answer=said.direct_answer,
        direct_answer_score=round(direct_answer_score(said.direct_answer or "", question.direct_answers), 4),
        written=said.written,
        reversed_choice_idx=None if back is None else -1 if back.choice is None else back.choice,
        reversed_scores=[] if back is None else back.scores,
        teacher_type=question.teacher_type,
    )
