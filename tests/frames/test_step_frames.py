"""Frames of the results of single steps: the same rows as those of the folder that they wrote."""

from pathlib import Path

import pandas as pd
import pytest
from project import PROJECT_ROOT

from dataengine_lib.core.files import read_json
from dataengine_lib.core.records import Query
from dataengine_lib.runs.opened.opened_run import load_run
from dataengine_lib.steps.compare_rounds import CompareRoundsConfig, compare_rounds
from dataengine_lib.steps.construct_queries import ConstructQueriesResult
from dataengine_lib.steps.evaluate import EvaluateConfig, evaluate
from dataengine_lib.steps.generate_qa import GenerateQaConfig, generate_qa
from dataengine_lib.steps.post_process import PostProcessConfig, post_process

DEMO = PROJECT_ROOT / "data_demo"


def assert_same(frame: pd.DataFrame, other: pd.DataFrame, *left_out: str) -> None:
    assert len(frame)
    pd.testing.assert_frame_equal(frame.drop(columns=list(left_out)), other.drop(columns=list(left_out)))


def test_evaluate_has_its_answers_and_bad_cases(tmp_path: Path) -> None:
    result = evaluate(
        EvaluateConfig(
            questions=DEMO / "aokvqa_v1p0_val_classified.json",
            image_root=DEMO,
            student=f"recorded:{DEMO / 'predictions.json'}",
            output_dir=tmp_path,
        )
    )
    run = load_run(tmp_path)
    assert_same(result.answers_frame, run.answers, "evaluation")
    assert_same(result.bad_cases_frame, run.bad_cases, "evaluation")


def test_construct_queries_has_its_queries() -> None:
    queries: list[Query] = read_json(DEMO / "gptvqa_prompt.json", list[Query])
    result = ConstructQueriesResult(DEMO, queries, {}, [], 0, 0, {}, {}, [], "")
    assert_same(result.queries_frame, load_run(DEMO).queries)


def test_generate_qa_has_its_replies_with_costs(tmp_path: Path) -> None:
    config = GenerateQaConfig(
        input=DEMO / "gptvqa_prompt.json",
        output=tmp_path / "gptvqa_result.jsonl",
        teacher=f"replay:{DEMO / 'gptvqa_result.jsonl'}",
    )
    frame = generate_qa(config).replies_frame
    assert_same(frame, load_run(tmp_path).replies)
    assert frame["cost_usd"].tolist() == [0.0] * 24 and set(frame["status"]) == {"answered"}


def test_post_process_has_its_qas_kept_and_dropped(tmp_path: Path) -> None:
    config = PostProcessConfig(
        input=DEMO / "gptvqa_result.jsonl", output=tmp_path / "gptvqa_train_data.json", image_root=DEMO
    )
    result = post_process(config)
    frame = result.records_frame
    assert_same(frame, load_run(tmp_path).records)
    assert frame["kept"].value_counts().to_dict() == {True: result.counts.kept, False: result.counts.dropped}


@pytest.mark.parametrize("split", ["holdout", "all"])
def test_compare_rounds_has_its_questions(tmp_path: Path, split: str) -> None:
    files = [DEMO / "aokvqa_eval.json", DEMO / "aokvqa_eval_after.json"]
    config = CompareRoundsConfig(evaluations=files, output=tmp_path / "compare_rounds.json", split=split)
    result = compare_rounds(config)
    outcomes = result.comparison_frame["outcome"].value_counts()
    assert (
        outcomes["fixed"] == result.total.overall.fixed and outcomes["broken"] == result.total.overall.broken
    )
    if split == "all":
        assert_same(result.comparison_frame, load_run(DEMO).comparison)
