"""MME, POPE and VQAv2 in their public layout pass through the whole loop, on the playground's pictures at a small size."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from project import PROJECT_ROOT

from dataengine_lib.core.files import read_json, write_json
from dataengine_lib.core.records import OPEN, YES_NO, Answer, Query, TrainRecord
from dataengine_lib.playground.captions import scene_facts
from dataengine_lib.playground.other_kinds import write_open, write_yes_no
from dataengine_lib.playground.questions import QA
from dataengine_lib.playground.scene_layout import make_scene
from dataengine_lib.playground.sets import write_playground
from dataengine_lib.steps.classify_questions import ClassifyQuestionsConfig, classify_questions
from dataengine_lib.steps.compare_rounds import CompareRoundsConfig, compare_rounds
from dataengine_lib.steps.construct_queries import ConstructQueriesConfig, construct_queries
from dataengine_lib.steps.evaluate import EvaluateConfig, evaluate
from dataengine_lib.steps.fine_tune import FineTuneConfig, fine_tune
from dataengine_lib.steps.generate_qa import GenerateQaConfig, generate_qa
from dataengine_lib.steps.post_process import PostProcessConfig, post_process

MODELS = PROJECT_ROOT / "data_demo" / "models"
SIZES = {"base": 1, "pool": 10, "diagnose": 1, "holdout": 1}


def questions(images: list[int], write: Callable[..., QA | None], *types: str) -> list[tuple[int, str, QA]]:
    """(image id, type, QA) about the pictures of these ids, one of each type that a picture allows."""
    found = []
    for place, number in enumerate(images):
        facts = scene_facts(make_scene(number, 0))
        for name in types:
            more = [bool(place % 2)] if write is write_yes_no else []
            if qa := write(name, facts, *more, Random(f"{number} {name}")):
                found.append((number, name, qa))
    return found


def mme(folder: Path, images: list[int]) -> Path:
    """VLMEvalKit's table."""
    lines = ["index\timage_path\tquestion\tanswer\tcategory"]
    for number, (image, kind, qa) in enumerate(questions(images, write_yes_no, "existence", "color")):
        asked = f"{qa.question} Please answer yes or no."
        lines.append(f"{number}\t{coco_name(image)}\t{asked}\t{qa.answer}\t{kind}")
    (folder / "MME.tsv").write_text("\n".join(lines) + "\n")
    return folder / "MME.tsv"


def pope(folder: Path, images: list[int]) -> Path:
    """The published lines, with the category that lmms-eval's documents have."""
    rows = [
        {"question_id": number, "image": coco_name(image), "text": qa.question, "label": qa.answer.lower(),
         "category": kind}
        for number, (image, kind, qa) in enumerate(questions(images, write_yes_no, "adversarial"))
    ]  # fmt: skip
    (folder / "coco_pope_adversarial.json").write_text("\n".join(map(json.dumps, rows)))
    return folder / "coco_pope_adversarial.json"


def vqa(folder: Path, images: list[int]) -> Path:
    """The two files of VQAv2, with ten answers to each question."""
    asked, answered = [], []
    for number, (image, kind, qa) in enumerate(
        questions(images, write_open, "what color is the", "what room is")
    ):
        asked.append({"question_id": number, "image_id": image, "question": qa.question})
        answers = [{"answer": qa.answer, "answer_confidence": "yes", "answer_id": n} for n in range(1, 11)]
        answered.append(
            {"question_id": number, "image_id": image, "question_type": kind, "answer_type": "other",
             "multiple_choice_answer": qa.answer, "answers": answers}
        )  # fmt: skip
    head = {"data_type": "mscoco", "data_subtype": "val2014"}
    write_json(folder / "v2_mscoco_val2014_annotations.json", {**head, "annotations": answered})
    return write_json(
        folder / "v2_OpenEnded_mscoco_val2014_questions.json",
        {**head, "task_type": "Open-Ended", "questions": asked},
    )


def coco_name(image: int) -> str:
    return f"COCO_val2014_{image:012d}.jpg"


@pytest.fixture(scope="module")
def playground(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The playground, with the pictures to be asked about under COCO's names in `val2014`."""
    folder = write_playground(tmp_path_factory.mktemp("cache"), 0, SIZES)
    (folder / "val2014").mkdir()
    for split in ("diagnose", "holdout"):
        for file in (folder / split / "images").iterdir():
            shutil.copy(file, folder / "val2014" / coco_name(int(file.stem)))
    return folder


@pytest.mark.parametrize(("write", "kind"), [(mme, YES_NO), (pope, YES_NO), (vqa, OPEN)])
def test_a_public_file_passes_through_the_whole_loop(
    write: Callable[[Path, list[int]], Path], kind: str, playground: Path, tmp_path: Path
) -> None:
    images = sorted(int(file.stem[-12:]) for file in (playground / "val2014").iterdir())
    file, root = write(tmp_path, images), playground / "val2014"
    classified = tmp_path / "classified.json"
    classify_questions(ClassifyQuestionsConfig(questions=file, output=classified, image_root=root))

    def measured(student: Path, folder: str) -> list[Answer]:
        evaluate(
            EvaluateConfig(
                questions=classified, image_root=root, student=str(student), output_dir=tmp_path / folder
            )
        )
        answers: list[Answer] = read_json(tmp_path / folder / "aokvqa_eval.json", list[Answer])
        return answers

    before = measured(MODELS / "tiny-llava", "before")
    assert {answer.answer_kind for answer in before} == {kind}
    prompts = tmp_path / "gptvqa_prompt.json"
    common: dict[str, Any] = {"coco_dataset": playground / "pool"}
    construct_queries(
        ConstructQueriesConfig(
            input=tmp_path / "before" / "bad_case_aokvqa_classified.json",
            weight=tmp_path / "before" / "weight.json",
            coco_embedding=tmp_path / "embedding",
            output=prompts,
            bad_case_image_root=root,
            questions=classified,
            encoder=str(MODELS / "tiny-clip"),
            maxnum=8,
            **common,
        )
    )
    queries: list[Query] = read_json(prompts, list[Query])
    assert queries and {query.answer_kind for query in queries} == {kind}
    replies = tmp_path / "gptvqa_result.jsonl"
    generate_qa(GenerateQaConfig(input=prompts, output=replies, teacher="playground", **common))
    train = tmp_path / "gptvqa_train_data.json"
    post_process(
        PostProcessConfig(
            input=replies,
            output=train,
            image_root=playground / "pool",
            questions=classified,
            evaluation_image_root=root,
            second_reader="playground",
            **common,
        )
    )
    records: list[TrainRecord] = read_json(train, list[TrainRecord])
    assert len(records) >= 4 and {record.answer_kind for record in records} == {kind}
    assert all(record.second_answer in (0, 1) for record in records)
    if kind == YES_NO:
        assert {record.correct_choice_idx for record in records} == {0, 1}
    fine_tune(
        FineTuneConfig(
            student=str(MODELS / "tiny-llava"),
            train_data=[train],
            image_root=playground / "pool",
            questions=classified,
            evaluation_image_root=root,
            output_dir=tmp_path / "checkpoint",
            steps=2,
            batch_size=4,
        )
    )
    after = measured(tmp_path / "checkpoint", "after")
    assert [answer.question_id for answer in after] == [answer.question_id for answer in before]
    evaluations = [tmp_path / name / "aokvqa_eval.json" for name in ("before", "after")]
    compared = compare_rounds(CompareRoundsConfig(evaluations=evaluations, output=tmp_path / "compare.json"))
    assert compared.figures is not None and (tmp_path / "compare.json").is_file()
