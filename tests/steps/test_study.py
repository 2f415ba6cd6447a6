"""Tests of step 7: which runs, seeds and questions are compared, and what is written and said of them."""

import re
from pathlib import Path
from typing import Any

import pytest
from made_study.files import MadeArm, write_study

from dataengine_lib.core.files import read_json, write_json
from dataengine_lib.core.records import Answer
from dataengine_lib.errors import DataEngineError
from dataengine_lib.evaluation.studies.curves import learning_curves
from dataengine_lib.evaluation.studies.figures import OVERALL, TYPE_MEAN, WEAK, WORST, StudyFigures
from dataengine_lib.evaluation.studies.study_file import StudyFile
from dataengine_lib.steps.study import StudyConfig, StudyResult, study


def compare(file: Path, **more: Any) -> StudyResult:
    return study(StudyConfig(study=file, output=file.with_name("study_results.json"), **more))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_study(tmp_path_factory.mktemp("made"), questions=40)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Two arms, three seeds, one round, few questions: for tests that change its files."""
    return write_study(tmp_path, (MadeArm("a", {"image_emotion": 0.5}), MadeArm("b")), 3, 1, questions=12)


def changed(file: Path, **values: Any) -> StudyFile:
    """The study with the fields of its last run changed; written."""
    found: StudyFile = read_json(file, StudyFile)
    for name, value in values.items():
        setattr(found.runs[-1], name, value)
    write_json(file, found)
    return found


def test_planted_differences_are_found(made: Path) -> None:
    result = compare(made)
    figures = result.figures
    assert (figures.questions, figures.images, figures.seeds, figures.reference) == (
        240,
        120,
        [0, 1, 2, 3],
        "adaptive",
    )
    assert figures.weak_types == ["social_relation", "image_emotion", "function_reasoning", "image_style"]
    assert figures.known_types == ["image_scene", "object_localization"]
    adaptive, uniform, base = figures.arms
    assert [one.name for one in adaptive.rounds] == ["before", "after round 1", "after round 2"]
    assert set(adaptive.last.measures) == {OVERALL, TYPE_MEAN, WEAK, WORST}
    assert adaptive.rounds[0].worst_type == "social_relation" and base.last.worst_type == "social_relation"
    # planted: 0.9 of 6 types; 0.4 and 0.4 in two of the four weak ones more than with base only
    assert adaptive.gains[OVERALL].value == pytest.approx(0.15, abs=0.04) and adaptive.gains[OVERALL].real
    gains = [one.gains[OVERALL] for one in adaptive.rounds[1:]]
    assert sum(one.value for one in gains) == pytest.approx(adaptive.gains[OVERALL].value)
    assert gains[0].real and not adaptive.rounds[0].gains
    pair = next(one for one in figures.pairs if (one.first, one.second) == ("base only", "adaptive"))
    assert pair.differences[WEAK].value == pytest.approx(-0.225, abs=0.05) and pair.differences[WEAK].real
    against_uniform = figures.by_type[0].by_type
    assert figures.by_type[0].arm == "uniform"
    assert against_uniform["image_emotion"].value == pytest.approx(-0.2, abs=0.07)
    assert not against_uniform["image_scene"].real
    assert (adaptive.fallen, uniform.fallen, base.fallen) == ([], [], ["object_localization"])
    assert adaptive.fixed - adaptive.broken == pytest.approx(240 * adaptive.gains[OVERALL].value)


def test_costs_by_point_and_by_fixed_question(made: Path) -> None:
    figures = compare(made).figures
    adaptive, _, base = figures.arms
    assert [(one.cost.qas, one.cost.steps) for one in adaptive.rounds] == [(0, 0), (300, 40), (600, 80)]
    assert adaptive.last.cost.usd == pytest.approx(0.6) and adaptive.last.cost.tokens == 72_000
    assert [one.cost.requests for one in adaptive.rounds] == [0, 600, 1200]
    points = 100 * adaptive.gains[OVERALL].value
    assert adaptive.per_point.qas == pytest.approx(600 / points)
    assert adaptive.per_fixed.usd == pytest.approx(0.6 / adaptive.fixed)
    assert base.per_point.qas is None, "nothing was gained"
    assert base.last.cost.qas == 0


def test_what_can_and_what_cannot_be_concluded(made: Path) -> None:
    text = compare(made).conclusion()
    assert text.startswith("Compared: 3 arms with 4 seeds, on 240 holdout questions about 120 images.")
    assert re.search(
        r"adaptive is above base only by \d+\.\d points \(\d+\.\d to \d+\.\d, corrected p",
        text,
    )
    assert "1 with base only (object_localization)" in text
    (few,) = compare(made).warnings
    assert few.startswith("6 types with fewer than 50 questions, the fewest function_reasoning with 40: ")
    # a copy of an arm cannot be told apart from it
    same = write_study(made.parent / "same", (MadeArm("a"), MadeArm("b")), 3, 1, questions=30)
    text = compare(same).conclusion()
    found = re.search(
        r"(a and b|b and a) \([+-].* cannot be told apart: a difference below (\d+\.\d) points would often",
        text,
    )
    assert found and 1 < float(found[2]) < 60
    assert "is above" not in text


def test_the_same_study_gives_the_same_bytes(made: Path) -> None:
    def written(result: StudyResult) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (result.output, result.table)}

    first = written(compare(made))
    second = compare(made)
    assert written(second) == first
    assert read_json(made.with_name("study_results.json"), StudyFigures) == second.figures


def test_the_table_can_stand_in_a_readme(made: Path) -> None:
    lines = compare(made, reference="uniform").table.read_text().splitlines()
    assert lines[0].startswith(
        "| arm | requests | QAs | all questions | mean of types | weakest 4 types at the start |"
    )
    assert "minus uniform, all questions | corrected p |" in lines[0]
    assert [line.split(" | ")[0] for line in lines[2:6]] == [
        "| before",
        "| adaptive",
        "| uniform",
        "| base only",
    ]
    assert {line.count("|") for line in lines[:6]} == {lines[0].count("|")}
    assert re.search(r"\| \+\d+\.\d \([+-]\d+\.\d to \+\d+\.\d\) \| ", lines[3])
    assert lines[4].endswith("| – | – |"), "the reference is not compared with itself"


def test_runs_that_failed_or_are_missing_are_named_and_their_seed_is_not_compared(small: Path) -> None:
    found = changed(small, status="failed", error="the disk was full")
    del found.runs[0]
    write_json(small, found)
    result = compare(small)
    assert result.figures.seeds == [1]
    reasons = {(one.arm, one.seed): one.reason for one in result.figures.runs_left_out}
    assert reasons == {
        ("b", 2): "failed: the disk was full",
        ("a", 0): "not in the study's runs",
        ("a", 2): "done, but its seed is not done in every arm",
        ("b", 0): "done, but its seed is not done in every arm",
    }
    assert any(
        "runs that are not compared: 4; the first: b, seed 2: failed: the disk" in line
        for line in result.warnings
    )
    assert any(line.startswith("only 1 seed: ") for line in result.warnings)
    assert "One seed says nothing about other seeds" in result.conclusion()


def test_an_evaluation_that_is_damaged_or_not_there_is_a_run_left_out(small: Path) -> None:
    (small.parent / "b" / "seed2" / "final" / "aokvqa_eval.json").write_text("[{}]")
    (small.parent / "b" / "seed1" / "final" / "aokvqa_eval.json").unlink()
    result = compare(small)
    assert result.figures.seeds == [0]
    reasons = {(one.arm, one.seed): one.reason for one in result.figures.runs_left_out}
    assert "cannot be read" in reasons["b", 1] and "not a format that this step reads" in reasons["b", 2]


def test_an_arm_without_a_finished_run_is_left_out_whole(small: Path) -> None:
    found: StudyFile = read_json(small, StudyFile)
    for run in found.runs:
        if run.arm == "a":
            run.status = "waiting"
    write_json(small, found)
    result = compare(small)
    assert [arm.name for arm in result.figures.arms] == ["b"] and result.figures.pairs == []
    assert "no run of the reference a is done" in result.warnings[0]
    assert result.figures.seeds == [0, 1, 2]
    assert result.table.is_file()


def test_questions_that_an_evaluation_lacks_or_changes_are_named_and_not_compared(small: Path) -> None:
    file = small.parent / "a" / "seed1" / "final" / "aokvqa_eval.json"
    rows = read_json(file, list[Answer])
    del rows[0]
    rows[0].choices = ["no", "yes"]
    write_json(file, rows)
    result = compare(small)
    assert result.figures.questions == 6 * 12 - 2
    (lost,) = result.figures.questions_left_out
    assert (lost.evaluation, lost.missing, lost.changed, lost.first) == (
        str(file),
        1,
        1,
        "image_scene-holdout-0",
    )
    assert any("1 evaluations lack questions that others have" in line for line in result.warnings)


def test_open_ended_answers_count_by_their_score(small: Path) -> None:
    files = sorted(small.parent.rglob("aokvqa_eval.json"))
    for file in files:
        rows = read_json(file, list[Answer])
        for row in rows:
            if row.question_type == "image_style":
                row.answer_kind, row.choices, row.correct_choice_idx = "open", [], -1
                row.direct_answers, row.correct, row.score = ["flat"], True, 0.6
        write_json(file, rows)
    figures = compare(small).figures
    assert figures.arms[0].last.by_type["image_style"].value == pytest.approx(0.6)
    next(row for row in rows if row.question_id == "image_style-holdout-0").direct_answers = ["drawn"]
    write_json(files[-1], rows)
    assert compare(small).figures.questions == figures.questions - 1


def test_the_first_evaluation_that_runs_share_is_read_once(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [small.parent / arm / f"seed{seed}" for arm in "ab" for seed in range(3)]
    first = (runs[0] / "round1" / "aokvqa_eval.json").read_bytes()
    for run in runs[1:]:
        assert (run / "round1" / "aokvqa_eval.json").read_bytes() == first
    from dataengine_lib.evaluation.studies import answers

    read: list[Path] = []
    real = answers.read_answers
    monkeypatch.setattr(answers, "read_answers", lambda file, bad: read.append(file) or real(file, bad))
    compare(small)
    assert len(read) == 7


def test_a_teacher_of_causes_costs_as_well(small: Path) -> None:
    before = compare(small).figures.arms[0].last.cost
    for folder in (small.parent / "a").glob("seed*/round1"):
        usage = {
            "replies": 3,
            "prompt_tokens": 900,
            "cached_tokens": 0,
            "completion_tokens": 100,
            "cost_usd": 0.5,
        }
        write_json(folder / "causes.json", {"method": "teacher", "encoder": "", "types": {}, "usage": usage})
    cost = compare(small).figures.arms[0].last.cost
    assert (before.usd, before.tokens) != (None, None)
    assert cost.usd == pytest.approx(before.usd + 0.5) and cost.tokens == before.tokens + 1000
    assert before.requests == 600 and cost.requests == 603


def test_files_that_lack_costs_leave_them_open(small: Path) -> None:
    for name in ("usage.json", "gptvqa_train_data.json", "checkpoint/train_log.json"):
        (small.parent / "a" / "seed1" / "round1" / name).unlink()
    figures = compare(small).figures
    cost = figures.arms[0].last.cost
    assert (cost.qas, cost.steps, cost.usd, cost.tokens, cost.requests) == (None,) * 5
    assert figures.arms[1].last.cost.qas == 300
    assert [one.arms for one in learning_curves(figures, OVERALL)] == [["b"]]


def test_arms_that_differ_in_the_number_of_queries_alone_are_one_curve(tmp_path: Path) -> None:
    arms = tuple(
        MadeArm(
            f"n{number}", {"image_emotion": number / 1000}, number, {"construct_queries": {"maxnum": number}}
        )
        for number in (400, 100)
    )
    other = MadeArm("other", changes={"construct_queries": {"maxnum": 100, "topk": 5}}, qas=100)
    file = write_study(tmp_path, (*arms, other), 2, 1, questions=12)
    curves = learning_curves(compare(file).figures, OVERALL)
    assert [one.arms for one in curves] == [["n400"], ["n100"], ["other"], ["n400", "n100"]]
    assert [(point.arm, point.qas) for point in curves[3].points] == [
        ("n400", 0),
        ("n100", 100),
        ("n400", 400),
    ]


def test_a_reference_that_is_no_arm_is_an_error(small: Path) -> None:
    with pytest.raises(DataEngineError, match=r"no arm is called 'c'; set reference to one of a, b"):
        compare(small, reference="c")


def test_without_weak_types_none_are_compared(small: Path) -> None:
    assert WEAK in compare(small).figures.arms[0].last.measures
    assert WEAK not in compare(small, weak_types=0).figures.arms[0].last.measures


def test_the_split_decides_which_questions_are_compared(small: Path) -> None:
    holdout, diagnose = (compare(small, split=split).figures for split in ("holdout", "diagnose"))
    assert (holdout.split, diagnose.split) == ("holdout", "diagnose")
    assert diagnose.arms[0].last.by_type != holdout.arms[0].last.by_type
    assert WEAK in diagnose.arms[0].last.measures


def test_studies_that_cannot_be_compared_are_an_error(small: Path) -> None:
    found: StudyFile = read_json(small, StudyFile)
    for run in found.runs:
        run.status = "failed" if run.seed else "waiting"
    write_json(small, found)
    with pytest.raises(
        DataEngineError, match=r"study\.json: no run is done; the first: a, seed 0: waiting; run the study"
    ):
        compare(small)
    for run in found.runs:
        run.status = "done" if (run.arm, run.seed) in (("a", 0), ("b", 1)) else "failed"
    write_json(small, found)
    with pytest.raises(DataEngineError, match="no seed is done in each of the arms a, b"):
        compare(small)
    found.runs.append(found.runs[0])
    write_json(small, found)
    with pytest.raises(DataEngineError, match="is there twice; remove one"):
        compare(small)
    small.write_text('{"study": 1}')
    with pytest.raises(DataEngineError, match=r"study\.json: .*correct the file"):
        compare(small)


def test_a_run_outside_of_the_study_is_refused(small: Path) -> None:
    changed(small, folder="../../elsewhere")
    assert "leads outside" in compare(small).figures.runs_left_out[0].reason


def test_names_from_the_file_stay_inside_the_table(tmp_path: Path) -> None:
    evil = "a|b\n<script>*x*"
    found = write_study(tmp_path, (MadeArm("a"), MadeArm("b")), 2, 1, questions=12)
    content: StudyFile = read_json(found, StudyFile)
    content.arms[1] = type(content.arms[1])(evil)
    for run in content.runs:
        run.arm = evil if run.arm == "b" else run.arm
    write_json(found, content)
    table = compare(found).table.read_text()
    assert r"| a\|b \<script>\*x\* |" in table and not re.search(r"(?<!\\)<script", table)
