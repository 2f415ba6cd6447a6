"""Tests of step 6: which questions are paired, the figures, the table and the file."""

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dataengine_lib.core.files import read_json, sha256, write_json
from dataengine_lib.core.records import Answer
from dataengine_lib.core.statistics import mcnemar, wilson
from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.evaluation.rounds.figures import Figures
from dataengine_lib.evaluation.rounds.followed_causes import FollowedCause
from dataengine_lib.queries.causes.causes_file import Cause, CausesFile, TypeCauses
from dataengine_lib.report.rounds.causes import followed_causes
from dataengine_lib.report.rounds.compared import gains_table, rounds_table
from dataengine_lib.runs.summary import table_lines
from dataengine_lib.steps.compare_rounds import CompareRoundsConfig, CompareRoundsResult, compare_rounds

# Right answers of 40 holdout and 20 diagnose questions a type: before, after round 1, after round 2.
RIGHT = {"colour": (30, 32, 34), "counting": (10, 20, 30), "mood": (20, 20, 20), "place": (36, 34, 30)}
DIAGNOSE = {"colour": 15, "counting": 2, "mood": 8, "place": 18}


def answer(kind: str, number: int, correct: bool, split: str = "holdout", **more: Any) -> Answer:
    settings: dict[str, Any] = {
        "question_id": f"{kind}-{split}-{number}",
        "image_id": number // 2,
        "image_path": f"{split}/{number // 2:012d}.jpg",
        "question": f"{kind} {number}?",
        "choices": ["yes", "no"],
        "correct_choice_idx": 0,
        "question_type": kind,
        "split": split,
        "correct": correct,
        "model_answer": "yes" if correct else "no",
    }
    return Answer(**(settings | more))


def evaluation(round_number: int) -> list[Answer]:
    rows = [answer(kind, n, n < right[round_number]) for kind, right in RIGHT.items() for n in range(40)]
    return rows + [
        answer(kind, n, n < right, "diagnose") for kind, right in DIAGNOSE.items() for n in range(20)
    ]


Run = Callable[..., CompareRoundsResult]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def compare(*rounds: list[Answer], **more: Any) -> CompareRoundsResult:
        files = [write_json(tmp_path / f"{number}.json", rows) for number, rows in enumerate(rounds)]
        settings = {"evaluations": files, "output": tmp_path / "compare_rounds.json", "weak_types": 2, **more}
        return compare_rounds(CompareRoundsConfig(**settings))

    return compare


def test_scores_gains_and_changes(run: Run) -> None:
    result = run(*map(evaluation, range(3)))
    figures = result.figures
    assert [scores.name for scores in figures.rounds] == ["before", "after round 1", "after round 2"]
    assert [scores.overall.correct for scores in figures.rounds] == [96, 106, 114]
    first = figures.rounds[0].by_type["counting"]
    assert (first.total, first.accuracy) == (40, 0.25)
    # two questions an image, which are nearly always right or wrong together
    assert (first.total, first.images) == (40, 20) and not first.too_few
    assert (first.low, first.high) == pytest.approx(wilson(5, 20), abs=0.02)
    assert [(one.before, one.after) for one in figures.comparisons] == [
        ("before", "after round 2"),
        ("before", "after round 1"),
        ("after round 1", "after round 2"),
    ]
    total = result.total
    assert total.overall.gain.gain == pytest.approx(18 / 160)
    assert (total.overall.fixed, total.overall.broken) == (24, 6) == (len(total.fixed), len(total.broken))
    # two fixed answers each in ten images, two broken ones in one, and two images with as many of both
    assert total.overall.p_value == total.overall.p_holm == pytest.approx(mcnemar(10, 1))
    assert total.overall.p_mcnemar == pytest.approx(0.0014309, rel=1e-3)
    assert total.overall.gain.low < 18 / 160 < total.overall.gain.high
    assert total.by_type["counting"].gain.gain == pytest.approx(0.5)
    assert total.by_type["mood"].gain.high == pytest.approx(0.1684, abs=1e-4)  # nothing changed in 20 images
    assert total.by_type["mood"].p_value == 1
    broken = total.broken[0]
    assert (broken.question_id, broken.before, broken.after) == ("place-holdout-30", "yes", "no")
    assert broken.image_path == "holdout/000000000015.jpg" and broken.question == "place 30?"
    assert figures.images == 20 and figures.questions == 160


def test_weak_types_are_chosen_on_the_diagnose_split(run: Run) -> None:
    result = run(evaluation(0), evaluation(2))
    assert result.figures.weak_types == ["counting", "mood"]
    tested = result.total.weak
    assert tested is not None and tested.verdict == "gain"
    assert tested.p_value == tested.p_holm == pytest.approx(mcnemar(10, 0))  # ten images of counting
    weak = tested.gain
    assert weak.gain == pytest.approx(0.25) and 0 < weak.low < 0.25 < weak.high
    assert (weak.questions, result.figures.weak_note) == (80, "")


def test_the_table(run: Run) -> None:
    table = run(evaluation(0), evaluation(2)).summary_table()
    assert [row.question_type for row in table] == [
        "counting",
        "mood",
        "colour",
        "place",
        "weakest 2 types (average)",
        "overall",
    ]
    assert table[0][:4] == (("counting", 0.25, 0.75, 0.5))
    assert table[4][1:4] == pytest.approx((0.375, 0.625, 0.25))
    assert table[5][1:4] == pytest.approx((0.6, 114 / 160, 18 / 160))
    assert all(row.low <= row.gain <= row.high for row in table)


def test_the_file_holds_every_figure_and_is_the_same_each_time(run: Run, tmp_path: Path) -> None:
    result = run(evaluation(0), evaluation(1))
    assert read_json(result.output, Figures) == result.figures
    before = sha256(result.output)
    run(evaluation(0), evaluation(1))
    assert sha256(tmp_path / "compare_rounds.json") == before


def test_questions_that_cannot_be_paired_are_named_and_left_out(run: Run) -> None:
    first, last = evaluation(0), evaluation(2)
    del last[0]  # colour-holdout-0
    del first[1]  # colour-holdout-1
    last[1].choices = ["no", "yes"]  # colour-holdout-2 is another question now
    last.append(answer("colour", 3, False))  # a second row; the first counts
    figures = run(first, last).figures
    assert figures.questions == 157
    assert [one.missing for one in figures.left_out] == [["colour-holdout-1"], ["colour-holdout-0"]]
    assert [one.changed for one in figures.left_out] == [[], ["colour-holdout-2"]]
    assert [one.repeated for one in figures.left_out] == [[], ["colour-holdout-3"]]
    assert figures.rounds[1].by_type["colour"].correct == 31


def test_the_order_of_rows_does_not_matter(run: Run) -> None:
    straight = run(evaluation(0), evaluation(2)).figures
    mixed = run(evaluation(0), evaluation(2)[::-1]).figures
    assert straight == mixed


def test_rows_without_question_id_are_paired_by_image_and_question(run: Run) -> None:
    first, last = ([answer("a", n, n < k, question_id="") for n in range(10)] for k in (2, 6))
    figures = run(first, last, weak_types=0).figures
    assert figures.questions == 10 and figures.comparisons[0].overall.fixed == 4


@pytest.mark.parametrize(
    ("rows", "settings", "note"),
    [
        (lambda: [one for one in evaluation(0) if one.split == "holdout"], {}, "no diagnose questions"),
        (lambda: evaluation(0), {"weak_types": 0}, "weak_types is 0"),
        (
            lambda: (
                [answer("a", n, n < 3) for n in range(5)]
                + [answer("a", n, True, "diagnose") for n in range(5)]
            ),
            {},
            "no type is weak",
        ),
    ],
)
def test_without_weak_types_the_conclusion_names_the_reason(
    run: Run, rows: Callable[[], list[Answer]], settings: dict[str, Any], note: str
) -> None:
    result = run(rows(), rows(), **settings)
    assert result.figures.weak_types == [] and result.total.weak is None
    assert note in result.figures.weak_note and note in result.conclusion()
    assert not any("weakest" in row.question_type for row in result.summary_table())


def test_a_weak_type_without_holdout_questions_is_named(run: Run) -> None:
    first, last = evaluation(0), evaluation(2)
    for rows in (first, last):
        rows.append(answer("rare", 0, False, "diagnose"))
    result = run(first, last)
    assert result.figures.weak_types == ["counting"]
    assert "rare" in result.figures.weak_note


@pytest.mark.parametrize(
    ("rounds", "verdict"), [((0, 2), "a real gain"), ((2, 0), "a real loss"), ((0, 0), "not distinguishable")]
)
def test_the_conclusion_claims_no_more_than_the_interval_shows(
    run: Run, rounds: tuple[int, int], verdict: str
) -> None:
    text = run(*map(evaluation, rounds)).conclusion().split("The weak types")[0]
    assert verdict in text


def many_types(fixed: dict[str, int], types: int = 18, each: int = 30) -> tuple[list[Answer], list[Answer]]:
    """Evaluations before and after of `types` types, one question an image; `fixed` answers of a type get right."""
    kinds = [f"kind{number:02}" for number in range(types)]
    before, after = (
        [
            answer(kind, n, later and n < fixed.get(kind, 0), image_id=100 * place + n)
            for place, kind in enumerate(kinds)
            for n in range(each)
        ]
        for later in (False, True)
    )
    return before, after


def test_a_gain_is_called_real_only_after_holms_correction(run: Run) -> None:
    result = run(*many_types({"kind00": 8, "kind01": 9, "kind02": 12}), weak_types=0)
    by_type = result.total.by_type
    # 2 / 2^8, times the 16 types that are left, and so on
    assert by_type["kind00"].p_value == pytest.approx(2**-7) and by_type["kind00"].gain.low > 0
    assert [by_type[f"kind{n:02}"].p_holm for n in range(4)] == pytest.approx(
        [16 * 2**-7, 17 * 2**-8, 18 * 2**-11, 1.0]
    )
    assert [by_type[f"kind{n:02}"].verdict for n in range(4)] == ["unclear", "unclear", "gain", "unclear"]
    assert result.total.overall.verdict == "gain"
    assert (
        "Of 18 question types, after Holm's correction: 1 real gain (kind02); "
        "17 not distinguishable from chance." in result.conclusion()
    )
    shown = gains_table(result.total, result.figures.method).text
    assert shown.count("a real gain") == 2 and "not distinguishable from chance" in shown


def test_few_questions_cannot_tell_wherever_they_are_shown(run: Run) -> None:
    result = run(*many_types({"kind00": 3}, each=3), weak_types=0)
    assert {paired.verdict for paired in result.total.by_type.values()} == {"too few"}
    assert result.total.overall.verdict == "unclear"  # 54 images could tell
    rows = result.summary_table()
    assert [row.verdict for row in rows[:-1]] == ["3 questions cannot tell"] * 18
    assert [line.endswith(" 3 questions cannot tell") for line in table_lines(rows)[1:-1]] == [True] * 18
    assert "18 with too few questions to tell." in result.conclusion()
    assert gains_table(result.total, "").text.count("3 questions cannot tell") == 18
    alone = run(*many_types({}, types=1, each=3), weak_types=0)
    assert "3 questions cannot tell." in alone.conclusion()
    assert rounds_table(alone.figures).text.count("3 questions cannot tell") == 2


def test_scores_may_be_fractions(run: Run) -> None:
    def open_answers(score: float) -> list[Answer]:
        settings = {"answer_kind": "open", "choices": [], "correct_choice_idx": -1, "score": score}
        return [answer("colour", n, score >= 0.5, image_id=n, **settings) for n in range(20)]

    result = run(open_answers(0.3), open_answers(0.9), weak_types=0)
    paired = result.total.by_type["colour"]
    assert paired.gain.gain == pytest.approx(0.6) and paired.verdict == "gain"
    assert (paired.fixed, paired.broken, paired.p_mcnemar) == (20, 0, None)
    assert paired.p_value == pytest.approx(2**-19)
    assert [one.overall.accuracy for one in result.figures.rounds] == pytest.approx([0.3, 0.9])
    assert "–" in gains_table(result.total, "").text  # McNemar's test is of right and wrong alone


def test_changed_open_answers_are_kept_with_the_accepted_ones(run: Run, tmp_path: Path) -> None:
    asked = {
        "answer_kind": "open",
        "choices": [],
        "correct_choice_idx": -1,
        "direct_answers": ["blue", "navy"],
    }

    def rows(correct: bool) -> list[Answer]:
        return [answer("colour", 0, correct, **asked), answer("colour", 1, correct)]

    opened, choice = run(rows(False), rows(True), weak_types=0).total.fixed
    assert (opened.direct_answers, choice.direct_answers) == (["blue", "navy"], [])
    written = read_json(tmp_path / "compare_rounds.json")["comparisons"][0]["fixed"]
    assert written[0]["direct_answers"] == ["blue", "navy"] and "direct_answers" not in written[1]
    assert [
        one.direct_answers
        for one in read_json(tmp_path / "compare_rounds.json", Figures).comparisons[0].fixed
    ] == [["blue", "navy"], []]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"score": 1.5}, "score 1.5 is not from 0 to 1"),
        ({"correct": None}, "does not say whether"),
        ({"answer_kind": "essay"}, "answer_kind 'essay' is none of choice, yes_no, open"),
    ],
)
def test_answers_without_a_usable_score_or_kind_are_left_out(
    run: Run, changed: dict[str, Any], reason: str
) -> None:
    rows = [msgspec.to_builtins(answer("a", n, True, answer_kind="open")) for n in range(10)]
    rows[0] |= changed
    result = run(rows, rows, weak_types=0)
    assert result.figures.questions == 9 and reason in " ".join(result.warnings)


def test_evaluations_that_cannot_be_compared_are_an_error(run: Run, tmp_path: Path) -> None:
    diagnose = [one for one in evaluation(0) if one.split == "diagnose"]
    with pytest.raises(DataEngineError, match=r"1\.json: no row of split 'holdout' \(found: diagnose\)"):
        run(evaluation(0), diagnose)
    with pytest.raises(DataEngineError, match="no holdout question is in all of them"):
        run([answer("a", 1, True)], [answer("a", 2, True)])
    assert not (tmp_path / "compare_rounds.json").exists()
    with pytest.raises(ParameterError, match="evaluations"):
        CompareRoundsConfig.read(
            {"evaluations": [tmp_path], "output": tmp_path}, "params.yaml: compare_rounds"
        )


def test_what_says_little_is_warned_of(run: Run) -> None:
    before, after = ([answer("mood", n, n < right) for n in range(12)] for right in (4, 4))
    assert run(before, after).warnings == [
        "only 12 holdout questions: an accuracy on so few is known to about ±25 points",
        "no answer changed from right to wrong or back: both evaluations may be of the same student",
    ]
    lost = [answer("mood", n, n < 9) for n in range(3, 12)]
    found = run(before, lost).warnings
    assert found[0].startswith("only 9 holdout questions: ")
    assert "1.json: 3 questions are not compared, 3 missing there and 0 with other choices" in found[1]
    assert run(*map(evaluation, range(3))).warnings == []


def test_causes_are_followed_by_their_cases(run: Run, tmp_path: Path) -> None:
    def cause(name: str, *keys: str) -> Cause:
        return Cause(name, cases=len(keys), case_ids=list(keys))

    rows = {
        "counting": TypeCauses(
            [cause("<b>hands</b>", *(f"counting-holdout-{n}" for n in range(10, 20)), "gone"),
             cause("", *(f"counting-holdout-{n}" for n in range(15, 35)))]
        ),
        "mood": TypeCauses([cause("", "mood-holdout-30")]),
    }  # fmt: skip
    file = write_json(tmp_path / "causes.json", CausesFile("cluster", "clip", rows))
    result = run(evaluation(0), evaluation(1), evaluation(2), found_causes=[file, file])
    assert result.figures.causes == [
        FollowedCause("counting", "<b>hands</b>", 10, [10, 0, 0]),
        FollowedCause("counting", "", 20, [20, 15, 5]),
    ]
    shown = followed_causes(result.figures).text
    assert "&lt;b&gt;hands" in shown and "75 %" in shown and "100 %" in shown
    assert shown == followed_causes(result.figures).text
    (figure,) = re.findall(r"<figure.*</figure>", shown, re.S)
    label = ElementTree.fromstring(figure).get("aria-label")
    assert label.startswith(
        "Bad cases that are still wrong, by cause. All were wrong before; most are left after round 2"
    )
    assert "counting (no cause named) 25% of 20, counting (<b>hands</b>) 0% of 10." in label
    for text in (
        "after round 1",
        "counting (n=20)",
        "still wrong in %, with 95 % Wilson interval; n: bad cases",
    ):
        assert text in figure
    assert read_json(result.output)["causes"][1]["wrong"] == [20, 15, 5]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            ["counting-holdout-9", "counting-holdout-15"],
            "1 of 2 are right in it, the first: 'counting-holdout-9'",
        ),
        (["q1", "q2"], "none of them is in it"),
    ],
)
def test_causes_of_other_bad_cases_are_refused(
    run: Run, tmp_path: Path, keys: list[str], message: str
) -> None:
    types = {"counting": TypeCauses([Cause("", case_ids=keys)])}
    file = write_json(tmp_path / "causes.json", CausesFile("cluster", "clip", types))
    with pytest.raises(
        DataEngineError, match=rf"causes\.json: its bad cases are not those of .*0\.json: {message}"
    ):
        run(evaluation(0), evaluation(1), found_causes=[file])


def test_without_causes_the_file_has_none(run: Run) -> None:
    result = run(evaluation(0), evaluation(1))
    assert "causes" not in read_json(result.output)
    assert "nothing to list" in followed_causes(result.figures).text
