"""`load_run`: a run, a round or the files of single steps, opened with frames, images and parameters."""

import gc
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from project import PROJECT_ROOT

import dataengine_lib
from dataengine_lib.core.files import read_json, write_json, write_jsonl
from dataengine_lib.core.records import Answer, Query, Result, TrainRecord
from dataengine_lib.curation.candidates import Reject
from dataengine_lib.errors import DataEngineError
from dataengine_lib.evaluation.metrics import Metrics
from dataengine_lib.frames.columns import FRAMES, frame_dtypes
from dataengine_lib.runs.manifest import Digest, Manifest
from dataengine_lib.runs.opened.opened_run import OpenedRun, load_run
from dataengine_lib.teachers.reply_files import Failure

DEMO = PROJECT_ROOT / "data_demo"
RUN_FRAMES = [name for name in FRAMES if name != "trace"]


@pytest.fixture(scope="module")
def demo() -> OpenedRun:
    return load_run(DEMO)


def answer(number: int, correct: bool) -> Answer:
    return Answer(
        question=f"Which {number}?", choices=["dog", "cat"], correct_choice_idx=1, question_id=f"q{number}",
        image_id=number, image_path=f"{number}.png", predicted_choice_idx=int(correct), correct=correct,
        model_answer="cat" if correct else "dog", question_type="ocr", split="diagnose",
    )  # fmt: skip


def write_evaluation(folder: Path, *correct: bool) -> None:
    answers = [answer(number, right) for number, right in enumerate(correct)]
    write_json(folder / "aokvqa_eval.json", answers)
    wrong = [one for one in answers if not one.correct]
    write_json(folder / "bad_case_aokvqa_classified.json", {"ocr": wrong})
    write_json(folder / "weight.json", {"ocr": 0.5})


def write_manifest(folder: Path, step: str, inputs: dict[str, Path], **parameters: Any) -> None:
    paths = {name: [Digest(str(path), "")] for name, path in inputs.items()}
    manifest = Manifest(
        step=step, identity="", started="", seconds=1.5, seed=0, parameters=parameters, inputs=paths,
        notebook_sha256="", code_sha256="", versions={},
    )  # fmt: skip
    write_json(folder / f"{step}.manifest.json", manifest)


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """Two rounds and the last evaluation: q0 is fixed by round 1, q1 by none, q2 is broken by round 2."""
    run = tmp_path / "reports" / "made"
    for name, correct in (("round1", (0, 0, 1)), ("round2", (1, 0, 1)), ("final", (1, 0, 0))):
        write_evaluation(run / name, *map(bool, correct))
        write_manifest(run / name, "1_evaluate", {"image_root": Path("set")}, rank="text", seed=len(name))
    for root, colour in (("set", "red"), ("pool", "blue")):
        (tmp_path / root).mkdir()
        Image.new("RGB", (4, 3), colour).save(tmp_path / root / "0.png")
    one = run / "round1"
    write_manifest(one, "2_construct_queries", {"coco_dataset": tmp_path / "pool"}, maxnum=3)
    shared: dict[str, Any] = {"question_type": "ocr", "round": 1, "image_path": "0.png"}
    queries = [
        Query(image_id=0, prompt="…", query_id="r-1", example_ids=["q0", "q1"], neighbour=True, similarity=0.75,
              anchor_image_id=0, anchor_image_path="0.png", **shared),
        Query(image_id=1, prompt="…", query_id="r-2", example_ids=["q1", "q0"], **shared),
        Query(image_id=2, prompt="…", query_id="r-3", example_ids=["q1"], **shared),
    ]  # fmt: skip
    write_json(one / "gptvqa_prompt.json", queries)
    replies = [
        Result(
            image_id=n,
            raw_instructions="…",
            query_id=f"r-{n + 1}",
            request_key=f"k{n}",
            model="openai:m",
            **shared,
        )
        for n in range(2)
    ]
    write_jsonl(one / "gptvqa_result.jsonl", replies)
    failure = Failure(
        query_id="r-3", image_id=2, question_type="ocr", kind="length", reason="cut off", request_key="k2"
    )
    write_jsonl(one / "gptvqa_failed.jsonl", [failure])
    paid = [{"key": f"k{n}", "usd": 0.25, "text": "…", "request": {"model": "m"}} for n in range(3)]
    write_jsonl(one / "gptvqa_ledger.jsonl", paid)
    kept = TrainRecord(
        image_id=0, raw_instructions="…", question="What?", choices=["a", "b"], correct_choice_idx=0,
        query_id="r-1", record_id="r-1", example_ids=["q0", "q1"], **shared,
    )  # fmt: skip
    write_json(one / "gptvqa_train_data.json", [kept])
    write_json(one / "blind_eval.json", [answer(0, correct=False)])
    write_jsonl(
        one / "rejects.jsonl", [Reject(line=2, reason="no question", query_id="r-2", question_type="ocr")]
    )
    return run


def test_the_example_files_have_every_frame(demo: OpenedRun) -> None:
    rows = {name: len(getattr(demo, name)) for name in RUN_FRAMES}
    assert rows == {
        "answers": 252, "bad_cases": 30, "probe_answers": 0, "queries": 24, "replies": 24, "records": 24, "comparison": 126,
        "types": 36, "rounds": 2,
    }  # fmt: skip
    assert demo.comparison["outcome"].value_counts().to_dict() == {
        "still right": 67, "still wrong": 40, "fixed": 13, "broken": 6,
    }  # fmt: skip
    assert demo.rounds["evaluation"].tolist() == ["before", "after round 1"]
    assert demo.records["kept"].sum() == 15 and demo.warnings == []


def test_accuracies_by_type_are_those_of_step_1(demo: OpenedRun) -> None:
    metrics: Metrics = read_json(DEMO / "metrics.json", Metrics)
    types = demo.types[demo.types["round"] == 0].set_index("question_type")
    assert set(types.index) == set(metrics.splits["diagnose"].per_type)
    for split, scores in metrics.splits.items():
        for kind, score in scores.per_type.items():
            row = types.loc[kind]
            found = [row[f"{split}_{name}"] for name in ("questions", "accuracy", "low", "high")]
            assert found == pytest.approx([score.total, score.accuracy, score.low, score.high], abs=5e-5), (
                kind
            )
        first = demo.rounds.iloc[0]
        assert first[f"{split}_accuracy"] == pytest.approx(scores.overall.accuracy, abs=5e-5)
    weights: dict[str, float] = read_json(DEMO / "weight.json")
    assert types["weight"].to_dict() == pytest.approx(weights)


def test_a_run_is_opened_with_all_its_rounds(run_folder: Path) -> None:
    run = load_run(str(run_folder))
    rounds = run.rounds.set_index("evaluation")
    assert rounds["round"].to_dict() == {"before": 1, "after round 1": 2, "after round 2": 3}
    assert rounds["folder"].tolist() == ["round1", "round2", "final"]
    assert rounds["correct"].tolist() == [1, 2, 1] and rounds["bad_cases"].tolist() == [2, 1, 2]
    assert run.replies["image_path"].tolist() == ["0.png"] * 3  # that of a failure too
    counts = rounds.loc["before", ["queries", "replies", "failed", "kept", "dropped"]].tolist()
    assert counts == [3, 2, 1, 1, 1]
    assert rounds["cost_usd"].fillna(-1).tolist() == [0.75, -1, -1]
    assert rounds["seconds"].tolist() == [3.0, 1.5, 1.5]
    outcomes = run.bad_cases[["round", "question_id", "outcome"]].to_numpy().tolist()
    assert outcomes == [
        [1, "q0", "fixed"], [1, "q1", "still wrong"], [2, "q1", "still wrong"], [3, "q1", ""], [3, "q2", ""],
    ]  # fmt: skip
    changes = run.comparison.query("outcome in ('fixed', 'broken')")
    assert changes[["before", "after", "question_id", "outcome"]].to_numpy().tolist() == [
        ["before", "after round 2", "q0", "fixed"], ["before", "after round 2", "q2", "broken"],
        ["before", "after round 1", "q0", "fixed"], ["after round 1", "after round 2", "q2", "broken"],
    ]  # fmt: skip


def test_the_path_of_a_bad_case_leads_to_whether_it_is_fixed(run_folder: Path) -> None:
    path = load_run(run_folder).trace("q0")
    rows = path[["round", "part", "status", "role", "query_id"]].to_numpy().tolist()
    assert rows == [
        [1, "bad case", "wrong", "", ""],
        [1, "query", "neighbour", "anchor", "r-1"],
        [1, "reply", "answered", "", "r-1"],
        [1, "record", "kept", "", "r-1"],
        [1, "query", "random", "example", "r-2"],
        [1, "reply", "answered", "", "r-2"],
        [1, "record", "dropped", "", "r-2"],
        [2, "answer", "fixed", "", ""],
        [3, "answer", "still right", "", ""],
    ]
    assert path["reason"].tolist()[6] == "no question" and path["similarity"].tolist()[1] == 0.75
    failed = load_run(run_folder).trace("q1").query("query_id == 'r-3'")
    assert failed[["part", "status", "reason"]].to_numpy().tolist() == [
        ["query", "random", ""], ["reply", "length", "cut off"],
    ]  # fmt: skip


def test_an_unknown_question_is_one_line_with_the_nearest_id(run_folder: Path) -> None:
    with pytest.raises(
        DataEngineError, match="'q00': no question of that id in this run; the nearest id is 'q0'"
    ):
        load_run(run_folder).trace("q00")


@pytest.mark.parametrize(
    ("name", "number", "evaluation"), [("round2", 2, "after round 1"), ("final", 3, "after round 2")]
)
def test_one_round_is_opened_with_its_number(
    run_folder: Path, name: str, number: int, evaluation: str
) -> None:
    run = load_run(run_folder / name)
    assert run.rounds[["round", "evaluation"]].to_numpy().tolist() == [[number, evaluation]]
    assert set(run.bad_cases["outcome"]) == {""} and run.comparison.empty
    assert run.parameters("evaluate", number)["rank"] == "text"


def test_a_run_that_is_not_finished_has_what_is_there(tmp_path: Path) -> None:
    write_json(tmp_path / "run.json", {"run": "made"})
    begun = load_run(tmp_path)
    assert repr(begun) == f"run {tmp_path} (evaluations: none yet)"
    for name in RUN_FRAMES:
        frame = getattr(begun, name)
        assert frame.empty and {key: str(value) for key, value in frame.dtypes.items()} == frame_dtypes(name)
    write_evaluation(tmp_path / "round1", True, False)
    reply = Result(image_id=1, raw_instructions="…", question_type="ocr", query_id="r-1")
    file = write_jsonl(tmp_path / "round1" / "gptvqa_result.jsonl", [reply])
    file.write_bytes(file.read_bytes() + b'{"image_id": 2, "raw_instr')
    going = load_run(tmp_path)
    assert going.rounds[["replies", "bad_cases"]].to_numpy().tolist() == [[1, 1]] and going.comparison.empty
    assert len(going.warnings) == 1 and f"{file}: 1 of 2 rows left out" in going.warnings[0]


def test_a_wrong_folder_is_one_line(run_folder: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    for folder, words in (
        (tmp_path / "missing", "is not a folder"),
        (empty, r"holds no file that a step writes \(aokvqa_eval.json, …\); give the folder of a run"),
        (run_folder.parent, r"is not a run, but holds some \(made\); give one, such as .*made$"),
        (tmp_path, r"is not a run, but holds some \(reports/made\); give one"),
        (DEMO / "study", r"holds some \(adaptive/seed0, adaptive/seed1, .* and 1 more\); give one"),
        (run_folder / "run.json", "is not a folder"),
    ):
        with pytest.raises(DataEngineError, match=words) as error:
            load_run(folder)
        assert str(error.value).startswith(f"{folder}: ") and "\n" not in str(error.value)


def test_an_evaluation_of_another_format_is_named(tmp_path: Path) -> None:
    file = write_json(tmp_path / "aokvqa_eval.json", [{"image": 1}, {"image": 2}])
    with pytest.raises(DataEngineError, match=f"{file}: not a format .* give aokvqa_eval.json of evaluate"):
        _ = load_run(tmp_path).answers


FRAME_FILES = (
    "aokvqa_eval.json", "bad_case_aokvqa_classified.json", "weight.json", "gptvqa_prompt.json", "gptvqa_result.jsonl",
    "gptvqa_failed.jsonl", "gptvqa_ledger.jsonl", "gptvqa_train_data.json", "rejects.jsonl", "blind_eval.json",
)  # fmt: skip


@pytest.mark.parametrize("content", [b"", b"\xff\x00", b"null", b'{"a": 1}', b"[[]]", b"[" * 3000])
def test_a_damaged_file_is_a_line_or_rows_that_are_left_out(run_folder: Path, content: bytes) -> None:
    lines = 0
    for name in FRAME_FILES:
        file = run_folder / "round1" / name
        whole = file.read_bytes()
        file.write_bytes(content)
        run = load_run(run_folder)
        for frame in RUN_FRAMES:
            try:
                getattr(run, frame)
            except DataEngineError as error:
                lines += 1
                assert str(file) in str(error) and "\n" not in str(error)
        assert gc.isenabled()
        file.write_bytes(whole)
    assert lines


def test_images_are_those_of_the_questions_or_of_the_pool(run_folder: Path) -> None:
    run = load_run(run_folder)
    red, blue = (255, 0, 0), (0, 0, 255)
    query = run.queries.iloc[0]
    for image, colour in (
        (run.image(run.answers.iloc[0]), red), (run.image("0.png"), red), (run.image(query), blue),
        (run.image(query, anchor=True), red), (run.image({"image_path": "0.png"}), red),
        (run.image(next(run.records.itertuples())), blue),
    ):  # fmt: skip
        assert image.size == (4, 3) and image.getpixel((0, 0)) == colour


def test_images_outside_the_roots_are_not_opened(run_folder: Path, tmp_path: Path) -> None:
    run = load_run(run_folder)
    Image.new("RGB", (4, 3)).save(tmp_path / "secret.png")
    for name in ("../secret.png", str(tmp_path / "secret.png"), "nothing.png"):
        with pytest.raises(DataEngineError, match="give image_root to load_run"):
            run.image(name)
    with pytest.raises(DataEngineError, match="this row names no image"):
        run.image({"image_path": "", "image_id": ""})
    assert load_run(run_folder, image_root=tmp_path).image("secret.png").size == (4, 3)


def test_parameters_are_those_of_the_last_time_or_of_a_round(run_folder: Path) -> None:
    run = load_run(run_folder)
    assert run.parameters("evaluate") == {"rank": "text", "seed": 5}
    assert run.parameters("1_evaluate", round=1) == {"rank": "text", "seed": 6}
    with pytest.raises(DataEngineError, match=r"no manifest of step 'construct_queries' in round 2"):
        run.parameters("construct_queries", round=2)
    with pytest.raises(DataEngineError, match="nearest step that has one is evaluate"):
        run.parameters("evalute")


def test_a_frame_that_a_user_changes_is_a_copy(demo: OpenedRun) -> None:
    frame = demo.answers
    frame.loc[:, "question"] = ""
    frame["mine"] = 1
    assert "mine" not in demo.answers and (demo.answers["question"] != "").all()


def test_the_package_is_light_and_opens_a_run_without_torch() -> None:
    heavy = "('torch', 'transformers', 'openai', 'matplotlib', 'papermill')"
    code = (
        "import sys, dataengine_lib\n"
        "assert not {'pandas', 'msgspec', 'numpy'} & set(sys.modules)\n"
        "run = dataengine_lib.load_run('data_demo'); run.types, run.trace(run.bad_cases.question_id[0])\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    environment = os.environ | {"PYTHONPATH": str(PROJECT_ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=PROJECT_ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
    with pytest.raises(AttributeError, match="has no attribute 'load_runs'"):
        _ = dataengine_lib.load_runs  # type: ignore[attr-defined]


def test_the_spares_that_were_asked_are_among_the_queries(tmp_path: Path) -> None:
    for number, name in enumerate(("gptvqa_prompt.json", "gptvqa_spare_asked.json", "gptvqa_spare.json")):
        query = Query(image_id=number, prompt="p", question_type="ocr", query_id=f"r-{number}")
        write_json(tmp_path / name, [query])
    assert load_run(tmp_path).queries["query_id"].tolist() == ["r-0", "r-1"]
