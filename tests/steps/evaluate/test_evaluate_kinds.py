"""Tests of step 1 on yes/no and open-ended questions: asked, read, scored, and written for the next steps."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dataengine_lib.core.files import read_json
from dataengine_lib.core.records import OPEN, YES_NO, Answer
from dataengine_lib.errors import DataEngineError
from dataengine_lib.evaluation.judge.judge import AnswerJudge
from dataengine_lib.evaluation.judge.verdicts import JudgeVerdict
from dataengine_lib.evaluation.metrics import Metrics
from dataengine_lib.report import evaluate as measuring
from dataengine_lib.report.gallery import bad_case_gallery
from dataengine_lib.steps.evaluate import EvaluateConfig, EvaluateResult, evaluate


class WordStudent:
    """Says yes to every yes/no question, and `words` in turn to the others; keeps what it was asked."""

    def __init__(self, *words: str) -> None:
        self.words = words or ("red",)
        self.ranked: list[tuple[str, list[str], str]] = []
        self.generated: list[str] = []

    def rank(self, images: Any, prompts: Any, choices: Any, scored: str = "text") -> list[list[float]]:
        self.ranked += [(prompt, list(row), scored) for prompt, row in zip(prompts, choices, strict=True)]
        return [[-0.5, *[-1.0] * (len(row) - 1)] for row in choices]

    def generate(
        self, images: Any, prompts: Sequence[str], *, choices: Any = None, max_new_tokens: int = 8
    ) -> list[str]:
        self.generated += prompts
        return [f" {self.words[n % len(self.words)]}" for n, _ in enumerate(prompts)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in "abcd":
        Image.new("RGB", (8, 8), "red").save(tmp_path / f"{name}.png")
    return tmp_path


def run(folder: Path, file: str, student: Any, **more: Any) -> EvaluateResult:
    """Step 1 with a student, or with the name of one."""
    name = student if isinstance(student, str) else "none"
    values = {
        "questions": folder / file,
        "image_root": folder,
        "student": name,
        "output_dir": folder / "out",
        "weight_rule": "1-acc",
        **more,
    }
    return evaluate(EvaluateConfig(**values), None if student is name else student)


def write_mme(folder: Path) -> None:
    rows = ["index\timage_path\tquestion\tanswer\tcategory\tsplit"]
    for number, name in enumerate("abcd"):
        split = "holdout" if name == "d" else "diagnose"
        rows.append(f"{2 * number}\t{name}.png\tIs it red? Please answer yes or no.\tYes\tcolor\t{split}")
        rows.append(f"{2 * number + 1}\t{name}.png\tIs it blue? Please answer yes or no.\tNo\tcolor\t{split}")
    (folder / "MME.tsv").write_text("\n".join(rows) + "\n")


def test_yes_no_questions_are_ranked_as_words_and_scored(folder: Path) -> None:
    write_mme(folder)
    student = WordStudent()
    result = run(folder, "MME.tsv", student)
    assert student.ranked[0] == ("Is it red? Please answer yes or no.", ["Yes", "No"], "words")
    assert student.generated == []  # no direct answers beside them
    metrics: Metrics = read_json(folder / "out/metrics.json", Metrics)
    assert metrics == result.metrics
    scores = metrics.splits["diagnose"]
    assert (scores.overall.accuracy, scores.chance, scores.letters.questions) == (0.5, 0.5, 0)
    yes_no: Any = scores.yes_no
    assert (yes_no.scores.yes_rate.value, yes_no.pope.recall.value, yes_no.pope.precision.value) == (
        1,
        1,
        0.5,
    )
    assert yes_no.mme.categories["color"].score.value == 50  # accuracy 50 %, accuracy+ 0
    assert yes_no.mme.sums["perception"].value == 50
    answers: list[Answer] = read_json(folder / "out/aokvqa_eval.json", list[Answer])
    assert {(row.answer_kind, row.model_answer) for row in answers} == {(YES_NO, "yes")}
    assert [row.score for row in answers[:2]] == [1, 0]
    assert answers[1].prompt == (
        "Question: Is it blue? Please answer yes or no.\nAnswer: No\nQuestion type: color"
    )
    assert json.loads((folder / "out/weight.json").read_text())["color"] == 0.5
    assert [row.question for row in result.bad_cases["color"]] == ["Is it blue? Please answer yes or no."]


def test_yes_no_is_read_from_what_the_student_writes(folder: Path) -> None:
    write_mme(folder)
    student = WordStudent("Yes, it is.", "maybe")
    result = run(folder, "MME.tsv", student, rank="generate")
    assert result.answers[0].written == "Yes, it is." and result.answers[0].correct
    assert (result.answers[1].predicted_choice_idx, result.answers[1].model_answer) == (-1, "")
    assert any("no answer can be read from" in line for line in result.warnings)
    with pytest.raises(DataEngineError, match="no answer can be read from 8 of 8 answers, such as 'maybe'"):
        run(folder, "MME.tsv", WordStudent("maybe"), rank="generate")


def test_a_student_that_only_says_yes_is_warned_of(folder: Path) -> None:
    rows = [
        {
            "question_id": n,
            "image": f"{'abcd'[n % 4]}.png",
            "text": f"Is there a {n}?",
            "label": "yes" if n % 2 else "no",
        }
        for n in range(48)
    ]
    (folder / "pope.json").write_text("\n".join(map(json.dumps, rows)))
    result = run(folder, "pope.json", WordStudent(), near_duplicate=0)
    assert any("answer is 'yes': the student may not see" in line for line in result.warnings)


VQA = [
    {"question": f"Which colour is {name}?", "image": f"{name}.png", "question_type": "what color", "split": split,
     "answers": [{"answer": text} for text in answers]}
    for name, split, answers in (
        ("a", "diagnose", ["red"] * 10),
        ("b", "diagnose", ["red"] * 2 + ["pink"] * 8),
        ("c", "diagnose", ["blue"] * 10),
        ("d", "holdout", ["red"] * 4 + ["rose"] * 6),
    )
]  # fmt: skip


def test_open_questions_are_generated_and_scored_by_vqa_accuracy(folder: Path) -> None:
    (folder / "vqa.json").write_text(json.dumps(VQA))
    student = WordStudent("Red.")
    result = run(folder, "vqa.json", student, robust="reverse")
    assert student.ranked == []
    assert student.generated == [row["question"] for row in VQA]
    found = result.answers
    assert [row.score for row in found] == pytest.approx([1, 0.6, 0, 1])
    assert [row.correct for row in found] == [True, True, False, True]
    assert {(row.answer_kind, row.model_answer, row.written, row.correct_choice_idx) for row in found} == {
        (OPEN, "Red", "Red.", -1)
    }
    kind = result.metrics.splits["diagnose"].per_type["what_color"]
    assert (kind.accuracy, kind.correct, kind.points) == (0.5333, 2, 1.6)
    assert kind.low < 0.5333 < kind.high
    scored: Any = result.metrics.splits["diagnose"].open
    assert scored.by_rule["VQA accuracy"].score.value == 0.5333
    assert result.weights["what_color"] == 0.467
    assert [row.question for row in result.bad_cases["what_color"]] == ["Which colour is c?"]
    assert result.bad_cases["what_color"][0].prompt.endswith("Answer: blue\nQuestion type: what color")
    predictions = json.loads((folder / "out/predictions.json").read_text())
    assert set(map(str, predictions.values())) == {"{'direct_answer': 'Red'}"}
    assert read_json(folder / "out/metrics.json", Metrics) == result.metrics


def test_questions_of_several_kinds_keep_their_order(folder: Path) -> None:
    rows = [
        {"question": "A?", "image_path": "a.png", "choices": ["x", "y", "z"], "correct_choice_idx": 1, "question_id": "1"},
        {"question": "B?", "image_path": "b.png", "choices": ["yes", "no"], "correct_choice_idx": 0, "question_id": "2",
         "answer_kind": "yes_no"},
        {"question": "C?", "image_path": "c.png", "direct_answers": ["red"], "question_id": "3", "answer_kind": "open"},
        {"question": "D?", "image_path": "d.png", "choices": [*"klmnopqrst"], "correct_choice_idx": 0, "question_id": "4"},
    ]  # fmt: skip
    (folder / "mixed.json").write_text(json.dumps(rows))
    result = run(folder, "mixed.json", WordStudent())
    assert [row.model_answer for row in result.answers] == ["x", "yes", "red", "k"]
    assert [row.correct for row in result.answers] == [False, True, True, True]
    assert sum(split.letters.questions for split in result.metrics.splits.values()) == 2


def test_the_page_shows_the_kinds_own_scores_and_no_letters(folder: Path) -> None:
    write_mme(folder)
    result = run(folder, "MME.tsv", WordStudent())
    page = measuring.split_table(result.metrics).text
    for words in ("by POPE&#x27;s script", "yes-rate", "accuracy+", "sum: perception", "50.0 [", ">score<"):
        assert words in page, words
    assert measuring.score_title(result.metrics) == "Mean score per question type, diagnose split"
    letters = result.metrics.splits["diagnose"].letters
    assert "no question has options" in measuring.letter_bias_chart(letters)._repr_html_()
    assert measuring.letter_bias_sentence(letters) == ""
    (folder / "vqa.json").write_text(json.dumps(VQA))
    opened = run(folder, "vqa.json", WordStudent())
    assert "VQA accuracy" in measuring.split_table(opened.metrics).text
    cards = bad_case_gallery(opened.bad_cases, folder).text
    assert "blue ×10" in cards and "✓ accepted" in cards and "red" in cards


def test_a_test_split_of_open_questions_gets_predictions_alone(folder: Path) -> None:
    content = {"data_subtype": "test2015", "task_type": "Open-Ended", "questions": [
        {"image_id": 7, "question": "What?", "question_id": 70}]}  # fmt: skip
    (folder / "test_questions.json").write_text(json.dumps(content))
    Image.new("RGB", (8, 8)).save(folder / "000000000007.jpg")
    result = run(folder, "test_questions.json", WordStudent())
    assert result.metrics.unscored == 1
    assert json.loads((folder / "out/predictions.json").read_text()) == {"70": {"direct_answer": "red"}}


def test_recorded_predictions_of_these_kinds(folder: Path) -> None:
    write_mme(folder)
    texts = ["Yes", "No, it is not", "Yes.", "maybe", "no", "No", "Yes", "Yes"]
    table = ["index\tquestion\tanswer\tcategory\tprediction"]
    lines = (folder / "MME.tsv").read_text().splitlines()[1:]
    for line, text in zip(lines, texts, strict=True):
        index, _, question, answer, category, _ = line.split("\t")
        table.append(f"{index}\t{question}\t{answer}\t{category}\t{text}")
    (folder / "predictions.tsv").write_text("\n".join(table) + "\n")
    result = run(folder, "MME.tsv", f"recorded:{folder / 'predictions.tsv'}")
    assert [row.predicted_choice_idx for row in result.answers] == [0, 1, 0, -1, 1, 1, 0, 0]
    assert [row.written for row in result.answers] == texts

    (folder / "vqa.json").write_text(json.dumps([{**row, "question_id": n} for n, row in enumerate(VQA)]))
    samples = [
        {
            "doc_id": n,
            "doc": {"question_id": n, "question": row["question"]},
            "target": None,
            "filtered_resps": [text],
        }
        for n, (row, text) in enumerate(zip(VQA, ["red", "The pink", "", "rose"], strict=True))
    ]
    (folder / "vqa_samples.jsonl").write_text("\n".join(map(json.dumps, samples)) + "\n")
    opened = run(folder, "vqa.json", f"recorded:{folder / 'vqa_samples.jsonl'}")
    assert [row.score for row in opened.answers] == pytest.approx([1, 1, 0, 1])
    assert opened.metrics.source.startswith("lmms-eval samples")
    results = [{"question_id": n, "answer": text} for n, text in enumerate(["red", "The pink", "", "rose"])]
    (folder / "results.json").write_text(json.dumps(results))
    listed = run(folder, "vqa.json", f"recorded:{folder / 'results.json'}", output_dir=folder / "c")
    assert [row.score for row in listed.answers] == [row.score for row in opened.answers]
    assert listed.metrics.source.startswith("VQA results")
    again = run(folder, "vqa.json", f"recorded:{folder / 'out/aokvqa_eval.json'}", output_dir=folder / "b")
    assert [row.model_answer for row in again.answers] == [row.model_answer for row in opened.answers]


def test_a_judge_grades_beside_the_rule_and_changes_no_score(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "vqa.json").write_text(json.dumps(VQA))
    plain = run(folder, "vqa.json", WordStudent())
    assert "judge" not in json.loads((folder / "out/metrics.json").read_text())
    monkeypatch.setattr(AnswerJudge, "verdicts", lambda self, answers: [
        JudgeVerdict(question_id=row.question_id, question=row.question, accepted=row.direct_answers,
                answer=row.model_answer,
                question_type=row.question_type, split=row.split, rule_score=row.score, rule_correct=row.correct,
                judge=self.model.spec, judged=True)
        for row in answers
    ])  # fmt: skip
    result = run(folder, "vqa.json", WordStudent(), judge="openai:gpt-4o-mini")
    assert result.answers == plain.answers and result.metrics.splits == plain.metrics.splits
    rows = json.loads(result.paths["judge.json"].read_text())
    assert [(row["rule_score"], row["judged"]) for row in rows] == [
        (1.0, True),
        (0.6, True),
        (0.0, True),
        (1.0, True),
    ]
    page = measuring.split_table(result.metrics).text
    assert "Cohen&#x27;s kappa" in page and "graded 4 of 4 open-ended answers" in page
