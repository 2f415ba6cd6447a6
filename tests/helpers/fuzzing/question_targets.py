"""Question files, predictions made elsewhere, and answers of rounds: steps 1 and 6."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from dataengine_lib.steps.compare_rounds import CompareRoundsConfig, compare_rounds
from dataengine_lib.steps.evaluate import EvaluateConfig, evaluate
from fuzzing.forms import dumped
from fuzzing.target import OUT, TYPES, Target, aokvqa, pictures, write
from fuzzing.verdict import Outcome

ROWS = 24


class FirstChoice:
    """A student that takes the first choice of every second question."""

    def rank(self, images: Any, prompts: Any, choices: Any, scored: str = "text") -> list[list[float]]:
        return [
            [-float((place + len(row[0])) % 3 + at) for at in range(len(row))]
            for place, row in enumerate(choices)
        ]

    def generate(
        self, images: Any, prompts: Any, *, choices: Any = None, max_new_tokens: int = 8
    ) -> list[str]:
        return [" dog" for _ in prompts]


def _questions() -> list[dict[str, Any]]:
    return [aokvqa(number) for number in range(ROWS)]


def _by_type() -> dict[str, Any]:
    return {kind: [row for row in _questions() if row["question_type"] == kind] for kind in TYPES}


def _seed_bench() -> dict[str, Any]:
    rows = [
        {
            "answer": "ABCD"[number % 4],
            **{f"choice_{letter}": f"{letter} {number}" for letter in "abcd"},
            "data_id": f"{number % 10 + 1}.jpg",
            "data_type": "image",
            "question": f"What is {number}?",
            "question_id": str(number),
            "question_type_id": number % 2 + 1,
        }
        for number in range(ROWS)
    ]
    return {"questions": rows, "question_type": {"Scene Understanding": 1, "Instance Identity": 2}}


def _v2() -> list[dict[str, Any]]:
    return [
        {
            "instruction": f"What is {number}?",
            "answer": "cat",
            "short_answer": "cat",
            "options": ["dog", "cat", "cow", f"pig {number}"],
            "choice_answer": "B",
            "image": f"{number % 10 + 1}.jpg",
            "qtype": number % 9 + 1,
        }
        for number in range(ROWS)
    ]


def _table() -> list[dict[str, Any]]:
    return [
        {
            "index": number,
            "question": f"What is {number}?",
            "hint": "",
            **{letter: f"{letter} {number}" for letter in "ABCD"},
            "answer": "ABCD"[number % 4],
            "category": "image_scene",
            "image_path": f"{number % 10 + 1}.jpg",
            "split": "dev",
        }
        for number in range(ROWS)
    ]


def _ask(file: str, folder: Path, **changes: Any) -> Outcome:
    values = {
        "questions": folder / file,
        "image_root": folder / "images",
        "student": "given",
        "output_dir": folder / OUT,
        "near_duplicate": 0,
        "categories": folder / "types.json",
        **changes,
    }
    given = None if "student" in changes else FirstChoice()
    result = evaluate(EvaluateConfig.read(values, "the test"), given)
    return Outcome(len(result.answers), result.warnings)


def _make(file: str, content: Callable[[], Any], lines: bool, folder: Path) -> None:
    pictures(folder / "images")
    # YAML holds JSON; with few types a step is done sooner
    write(folder / "types.json", {"types": dict.fromkeys(TYPES, "x")})
    write(folder / "questions.json", _questions())
    write(folder / file, content(), lines)


def _make_table(file: str, rows: Callable[[], list[dict[str, Any]]], folder: Path) -> None:
    pictures(folder / "images")
    # YAML holds JSON; with few types a step is done sooner
    write(folder / "types.json", {"types": dict.fromkeys(TYPES, "x")})
    write(folder / "questions.json", _questions())
    (folder / file).write_bytes(dumped(Path(file).suffix.lstrip("."), rows()))  # type: ignore[arg-type]


# --- predictions


def _recorded(file: str, folder: Path) -> Outcome:
    return _ask("questions.json", folder, student=f"recorded:{folder / file}")


def _our_answers() -> list[dict[str, Any]]:
    return [
        {
            **{key: value for key, value in row.items() if key not in ("rationales", "split")},
            "idx": number,
            "model_answer": row["choices"][number % 3],
            "predicted_choice_idx": number % 3,
            "scores": [-1.0, -2.0, -3.0, -4.0],
            "direct_answer": "dog",
        }
        for number, row in enumerate(_questions())
    ]


def _leaderboard() -> dict[str, Any]:
    return {
        row["question_id"]: {"multiple_choice": row["choices"][number % 3], "direct_answer": "dog"}
        for number, row in enumerate(_questions())
    }


def _samples() -> list[dict[str, Any]]:
    return [
        {
            "doc_id": number,
            "doc": {
                "question_id": row["question_id"],
                "question": row["question"],
                "choices": row["choices"],
            },
            "target": "ABCD"[row["correct_choice_idx"]],
            "resps": [["A"]],
            "filtered_resps": ["ABC"[number % 3]],
        }
        for number, row in enumerate(_questions())
    ]


def _old_log() -> dict[str, Any]:
    return {"args": {"model": "m"}, "model_configs": {"task": "aokvqa"}, "logs": _samples()}


def _predictions() -> list[dict[str, Any]]:
    return [
        {
            "index": number,
            "question": row["question"],
            **dict(zip("ABCD", row["choices"], strict=True)),
            "answer": "ABCD"[row["correct_choice_idx"]],
            "category": "x",
            "prediction": "ABC"[number % 3],
        }
        for number, row in enumerate(_questions())
    ]


# --- step 6


def _make_rounds(folder: Path) -> None:
    rows = [
        {**row, "correct": number % 2 == 0, "split": "holdout"} for number, row in enumerate(_our_answers())
    ]
    for name in ("before.json", "after.json"):
        write(folder / name, rows)


def _compare(folder: Path) -> Outcome:
    config = {
        "evaluations": [folder / "before.json", folder / "after.json"],
        "output": folder / OUT / "compare_rounds.json",
        "split": "all",
    }
    result = compare_rounds(CompareRoundsConfig.read(config, "the test"))
    return Outcome(result.figures.questions, result.warnings)


def _target(name: str, file: str, form: Any, content: Callable[[], Any]) -> Target:
    table = form in ("tsv", "csv", "xlsx")
    make = partial(_make_table, file, content) if table else partial(_make, file, content, form == "lines")
    return Target(name, file, form, make, partial(_ask if name.startswith("questions") else _recorded, file))


QUESTION_TARGETS = [
    _target("questions: A-OKVQA", "q.json", "json", _questions),
    _target("questions: JSON lines", "q.jsonl", "lines", _questions),
    _target("questions: by type", "q.json", "json", _by_type),
    _target("questions: SEED-Bench", "q.json", "json", _seed_bench),
    _target("questions: DataEngine v2", "q.json", "json", _v2),
    _target("questions: MMBench TSV", "q.tsv", "tsv", _table),
    _target("questions: xlsx", "q.xlsx", "xlsx", _table),
    _target("predictions: aokvqa_eval.json", "p.json", "json", _our_answers),
    _target("predictions: A-OKVQA", "p.json", "json", _leaderboard),
    _target("predictions: lmms-eval", "p.jsonl", "lines", _samples),
    _target("predictions: lmms-eval, old", "p.json", "json", _old_log),
    _target("predictions: VLMEvalKit TSV", "p.tsv", "tsv", _predictions),
    _target("predictions: VLMEvalKit CSV", "p.csv", "csv", _predictions),
    _target("predictions: VLMEvalKit xlsx", "p.xlsx", "xlsx", _predictions),
    _target("predictions: VLMEvalKit JSON", "p.json", "json", _predictions),
    Target("rounds: aokvqa_eval.json", "after.json", "json", _make_rounds, _compare),
]  # fmt: skip
