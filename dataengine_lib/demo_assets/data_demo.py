"""Makes `data_demo`: a small example of each file of the loop under its published name, written by the loop itself.

`python -m dataengine_lib.demo_assets.data_demo` runs the steps once on a few scenes with the shipped models.
"""

import shutil
import tempfile
from pathlib import Path

from dataengine_lib.core.files import read_json, write_json
from dataengine_lib.core.records import Question
from dataengine_lib.playground.questions import QUESTION_WRITERS
from dataengine_lib.playground.sets import read_playground_questions, write_playground
from dataengine_lib.steps.classify_questions import ClassifyQuestionsConfig, classify_questions
from dataengine_lib.steps.construct_queries import ConstructQueriesConfig, construct_queries
from dataengine_lib.steps.evaluate import EvaluateConfig, evaluate
from dataengine_lib.steps.fine_tune import FineTuneConfig, fine_tune
from dataengine_lib.steps.generate_qa import GenerateQaConfig, generate_qa
from dataengine_lib.steps.post_process import PostProcessConfig, post_process

DATA_DEMO = Path(__file__).parents[2] / "data_demo"  # in the checkout
_SIZES = {"base": 24, "pool": 48, "diagnose": 4, "holdout": 3}
_SEED = 1  # another one than the demo's, so that they share no image


def _make(folder: Path, models: Path) -> None:
    """Write every file of the loop into `folder`, and the images that they name into `folder/images`."""
    with tempfile.TemporaryDirectory() as scratch:
        sets = write_playground(Path(scratch), _SEED, _SIZES)
        shutil.rmtree(folder / "images", ignore_errors=True)
        for name in _SIZES:
            shutil.copytree(sets / name / "images", folder / "images", dirs_exist_ok=True)
        (folder / "annotations").mkdir(parents=True, exist_ok=True)
        for kind in ("instances", "captions"):  # of the pool only: step 2 must not ask about the other sets
            shutil.copyfile(
                sets / "pool" / "annotations" / f"{kind}_pool.json",
                folder / "annotations" / f"{kind}_demo.json",
            )
        questions = [_moved(question) for question in read_playground_questions(sets)]
        base: list[Question] = read_json(sets / "base_questions.json", list[Question])
    write_json(folder / "base_questions.json", [_moved(question) for question in base])
    _write_questions(folder, questions)
    with tempfile.TemporaryDirectory() as scratch:
        _run_the_loop(folder, models, Path(scratch))


def _moved(question: Question) -> Question:
    question.image_path = f"images/{Path(question.image_path).name}"
    return question


def _write_questions(folder: Path, questions: list[Question]) -> None:
    classified = {kind: [q for q in questions if q.question_type == kind] for kind in QUESTION_WRITERS}
    write_json(folder / "aokvqa_v1p0_val_classified.json", classified)
    for question in questions:  # as A-OKVQA publishes them, before step 0
        question.question_type = question.prompt = ""
    write_json(folder / "aokvqa_v1p0_val.json", questions)


def _run_the_loop(folder: Path, models: Path, scratch: Path) -> None:
    questions = folder / "aokvqa_v1p0_val_classified.json"
    run_step_0(folder, scratch)
    shutil.copyfile(scratch / questions.name, questions)
    student = str(models / "tiny-llava")
    evaluate(
        EvaluateConfig(
            questions=questions,
            image_root=folder,
            student=student,
            output_dir=folder,
            near_duplicate=0,  # off: questions come from few templates, but each is about another picture
            weight_rule="1-acc",  # as published, so are the queries below
        )
    )
    run_step_2(folder, models, scratch, folder)
    # replies without a ledger would be kept aside
    (folder / "gptvqa_result.jsonl").unlink(missing_ok=True)
    run_step_3(folder, folder)
    run_step_4(folder, folder)
    run_step_5(folder, models, folder / "gptvqa_train_data.json", scratch / "checkpoint")
    evaluate(
        EvaluateConfig(
            questions=questions,
            image_root=folder,
            student=str(scratch / "checkpoint"),
            output_dir=scratch / "after",
        )
    )
    shutil.copyfile(scratch / "after" / "aokvqa_eval.json", folder / "aokvqa_eval_after.json")
    (folder / "gptvqa_ledger.jsonl").unlink()  # it holds the times of requests, which differ in every run


def run_step_0(folder: Path, output: Path) -> None:
    """Step 0 on the questions of `folder`: their types are known already; this adds the teacher's answers."""
    questions = folder / "aokvqa_v1p0_val_classified.json"
    classify_questions(
        ClassifyQuestionsConfig(questions=questions, output=output / questions.name, teacher="playground")
    )


def run_step_2(
    folder: Path, models: Path, scratch: Path, output: Path, *, weight: Path | None = None, seed: int = 0
) -> None:
    """Step 2 on the bad cases of `folder`; the embeddings go to `scratch`, the queries to `output`.

    `weight` is the file of the types' weights, by default that of `folder`.
    """
    construct_queries(ConstructQueriesConfig(
        input=folder / "bad_case_aokvqa_classified.json", weight=weight or folder / "weight.json", coco_dataset=folder,
        coco_embedding=scratch / "embedding", output=output / "gptvqa_prompt.json", bad_case_image_root=folder,
        questions=folder / "aokvqa_v1p0_val_classified.json", encoder=str(models / "tiny-clip"), maxnum=24, topk=20,
        neighbour_share=0.5, near_duplicate=None, seed=seed,
    ))  # fmt: skip


def run_step_3(folder: Path, output: Path) -> None:
    """Step 3 on the queries of `folder`."""
    generate_qa(
        GenerateQaConfig(
            input=folder / "gptvqa_prompt.json", output=output / "gptvqa_result.jsonl", teacher="playground"
        )
    )


def run_step_4(folder: Path, output: Path, *, replies: Path | None = None) -> None:
    """Step 4 on `replies` about the images of `folder`, by default its own."""
    post_process(
        PostProcessConfig(
            input=replies or folder / "gptvqa_result.jsonl",
            output=output / "gptvqa_train_data.json",
            image_root=folder,
            coco_dataset=folder,
            questions=folder / "aokvqa_v1p0_val_classified.json",
            evaluation_image_root=folder,
            near_question=0,  # off, as in step 1
        )
    )


def run_step_5(folder: Path, models: Path, train_data: Path, output: Path, *, seed: int = 0) -> None:
    """Step 5 on `train_data` about the images of `folder`, and on its base data; the checkpoint goes to `output`."""
    fine_tune(FineTuneConfig(
        student=str(models / "tiny-llava"), train_data=[train_data], image_root=folder, output_dir=output,
        base_data=folder / "base_questions.json", base_image_root=folder, base_share=0.5, method="full",
        learning_rate=2e-4, epochs=3, batch_size=16, seed=seed,
    ))  # fmt: skip


if __name__ == "__main__":
    _make(DATA_DEMO, DATA_DEMO / "models")
