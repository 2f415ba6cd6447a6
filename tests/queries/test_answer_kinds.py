"""Bad cases of every kind and number of options become examples, prompts and queries of that form."""

import json
import re
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest

from dataengine_lib.core.bad_rows import BadRows
from dataengine_lib.core.records import CHOICE, FOUR_CHOICES, OPEN, YES_NO, QaForm
from dataengine_lib.errors import ParameterError
from dataengine_lib.images.pool import NamedBox, PoolImage
from dataengine_lib.queries.answer_kinds import wanted_answers, with_one_kind
from dataengine_lib.queries.bad_cases import BadCase, read_bad_cases
from dataengine_lib.queries.prompt import load_template
from dataengine_lib.queries.sampling import QueryDraft
from dataengine_lib.replies.drop_reasons import Reason
from dataengine_lib.replies.parse import parse_reply
from dataengine_lib.resources import QUERY_PROMPTS

IMAGE = PoolImage(id=1, path="1.jpg", captions=["A dog."], boxes=[NamedBox("dog", (0.1, 0.25, 0.5, 1.0))])


def row(number: int, **more: Any) -> dict[str, Any]:
    return {"image_id": number, "question": f"Is it {number}?", "question_type": "existence"} | more


def yes_no(number: int, right: int = 1) -> dict[str, Any]:
    return row(number, choices=["yes", "no"], correct_choice_idx=right, answer_kind=YES_NO)


def opened(number: int, *answers: str) -> dict[str, Any]:
    return row(number, choices=[], correct_choice_idx=-1, answer_kind=OPEN, direct_answers=list(answers))


def choice(number: int, count: int) -> dict[str, Any]:
    return row(number, choices=[f"c{place}" for place in range(count)], correct_choice_idx=1)


def read(folder: Path, rows: list[dict[str, Any]]) -> tuple[list[BadCase], BadRows]:
    (folder / "bad.json").write_text(json.dumps(rows))
    bad = BadRows(folder / "bad.json", 1)
    return read_bad_cases(folder / "bad.json", bad).get("existence", []), bad


def test_cases_are_shown_in_the_form_of_their_kind(tmp_path: Path) -> None:
    cases, bad = read(
        tmp_path,
        [yes_no(1), yes_no(2, 0), opened(3, "a dog", "dog", "dog"), choice(4, 3), choice(5, 12)],
    )
    assert not bad.counts
    assert [case.example for case in cases[:4]] == [
        "Question: Is it 1?\nAnswer: No",
        "Question: Is it 2?\nAnswer: Yes",
        "Question: Is it 3?\nAnswer: dog",
        "Question: Is it 4?\nChoices: (A) c0 (B) c1 (C) c2\nAnswer: The answer is (B): c1.",
    ]
    forms = [QaForm(YES_NO), QaForm(YES_NO), QaForm(OPEN), QaForm(CHOICE, 3), QaForm(CHOICE, 10)]
    assert [case.form for case in cases] == forms


def test_cases_without_an_answer_are_left_out(tmp_path: Path) -> None:
    odd = [opened(1), opened(2, " "), row(3, answer_kind="yesno"), yes_no(4, 2)]
    cases, bad = read(tmp_path, [*odd, opened(5, "dog")])
    assert len(cases) == 1 and bad.counts.total() == 4
    assert bad.counts["unusable answers"] == 2


FILLED = {
    YES_NO: {"<the question>": "Is there a dog?", "<Yes or No>": "No", "<the reason>": "None is there."},
    OPEN: {"<the question>": "What is it?", "<one to three words>": "dog", "<the reason>": "It barks."},
}


@pytest.mark.parametrize("name", QUERY_PROMPTS.names)
@pytest.mark.parametrize("kind", FILLED)
def test_prompts_ask_for_the_layout_that_step_4_reads(name: str, kind: str) -> None:
    form = QaForm(kind)
    text = load_template(name).render("existence", "", ["Question: A?\nAnswer: b"], IMAGE, None, form, "No")
    assert text is not None and "hoices: (A)" not in text and "<choice>" not in text
    layout, skip = re.findall(r"lines and nothing else:\n(.+?)\nor, when .+?:\n(.+?)\n\n", text, re.DOTALL)[0]
    for place, words in FILLED[kind].items():
        layout = layout.replace(place, words)
    (qa,) = parse_reply(layout, form=form)
    assert (qa.choices, qa.short_answer) == ((["yes", "no"], "") if kind == YES_NO else ([], "dog"))
    assert parse_reply(skip, form=form) is Reason.SKIPPED
    assert text.endswith("to which the answer is No.") == (kind == YES_NO)


@pytest.mark.parametrize("name", QUERY_PROMPTS.names)
@pytest.mark.parametrize("count", [2, 3, 10])
def test_prompts_ask_for_as_many_choices_as_the_examples_have(name: str, count: int) -> None:
    template = load_template(name)
    text = template.render("t", "", [], IMAGE, None, template.form(QaForm(CHOICE, count))) or ""
    word = {2: "two", 3: "three", 10: "ten"}[count]
    assert f"Offer {word} choices" in text
    line = next(line for line in text.splitlines() if line.startswith("Choices: (A) <choice>"))
    assert line.count("<choice>") == count
    assert ("the other is plausible" in text) == (count == 2)


def test_a_template_that_knows_no_kinds_asks_for_four_choices(tmp_path: Path) -> None:
    (tmp_path / "mine.j2").write_text("{{ question_type }}: four choices")
    template = load_template(tmp_path / "mine.j2")
    assert template.form(QaForm(CHOICE, 6)) == FOUR_CHOICES
    with pytest.raises(ParameterError, match="some bad cases are yes_no questions; use answer_kind in it"):
        template.form(QaForm(YES_NO))


def cases_of(*kinds: str) -> list[BadCase]:
    return [BadCase(str(n), "t", None, "", QaForm(kind)) for n, kind in enumerate(kinds)]  # type: ignore[arg-type]


def test_a_mixed_file_gives_queries_of_each_kind_with_examples_of_one() -> None:
    cases = {"t": cases_of(YES_NO, OPEN, YES_NO, CHOICE, OPEN, YES_NO), "u": cases_of(CHOICE, CHOICE)}
    drafts = [QueryDraft("t", (place, (place + 1) % 6), False) for place in range(6)]
    drafts.append(QueryDraft("u", (1, 0), False))
    found = with_one_kind(drafts, cases, Random(0))
    assert [draft.examples[0] for draft in found] == [draft.examples[0] for draft in drafts]
    for draft in found:
        kinds = {cases[draft.question_type][place].form.kind for place in draft.examples}
        assert len(kinds) == 1 and len(set(draft.examples)) == len(draft.examples)
    assert [len(draft.examples) for draft in found] == [2, 2, 2, 1, 2, 2, 2]
    assert found[6] is drafts[6]


def test_yes_and_no_are_wanted_equally_often_in_every_type_and_overall() -> None:
    kinds = [YES_NO, OPEN, YES_NO, YES_NO, CHOICE, YES_NO, YES_NO]
    drafts = [QueryDraft(name, (0,), False) for name in ("a", "a", "b", "c", "c", "a", "b")]
    wanted = wanted_answers(drafts, [cases_of(kind) for kind in kinds])
    assert wanted == ["No", "", "Yes", "No", "", "Yes", "No"]
    assert Counter(wanted)["No"] == 3
