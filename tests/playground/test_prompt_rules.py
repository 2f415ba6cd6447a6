"""The scripted teacher and the rules of a prompt: no rule, a fault that step 4 drops; by the marks, the rule."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from project import PROJECT_ROOT

from dataengine_lib.core.files import read_json
from dataengine_lib.core.records import CHOICE, OPEN, YES_NO, QaForm, Query, Result
from dataengine_lib.images.pool import NamedBox, PoolImage
from dataengine_lib.images.read_pool import read_pool
from dataengine_lib.playground.prompt_rules import apply_rules, revised_rules
from dataengine_lib.playground.questions import QUESTION_WRITERS
from dataengine_lib.playground.teacher import reply, structured_reply
from dataengine_lib.prompt_versions.rule_template import RuleTemplate
from dataengine_lib.queries.prompt import load_template
from dataengine_lib.replies.drop_reasons import Reason
from dataengine_lib.replies.parse import parse_result
from dataengine_lib.replies.qa_json import qa_schema, v1_text
from dataengine_lib.teachers.prompt_rules.prompts import (
    RULES_SCHEMA,
    MarkGroup,
    read_proposal,
    revision_prompt,
)

# The reason to drop a QA that each rule of v1 prevents.
FAULTS = {
    3: {Reason.MARKED},
    4: {Reason.EQUAL_CHOICES},
    6: {Reason.BOXES, Reason.DESCRIPTION},
}


def prompts() -> Iterator[str]:
    queries: list[Query] = read_json(PROJECT_ROOT / "data_demo" / "gptvqa_prompt.json", list[Query])
    return (query.prompt for query in queries)


def reasons(without: int) -> Counter[Reason | str]:
    template = RuleTemplate(load_template("v1"), QaForm())
    rules = [rule for number, rule in enumerate(template.rules, 1) if number != without]
    found: Counter[Reason | str] = Counter()
    for prompt in prompts():
        changed = template.prompt(prompt, rules)
        assert changed is not None
        text = structured_reply([{"role": "user", "content": changed}], qa_schema(changed))
        row = Result(image_id=1, raw_instructions=v1_text(text), question_type="t", reply_json=text)
        parsed = parse_result(row)
        found[parsed if isinstance(parsed, Reason) else "kept"] += 1
    return found


@pytest.mark.parametrize("without", FAULTS)
def test_without_a_rule_its_fault_appears_and_no_other(without: int) -> None:
    whole, spoiled = reasons(0), reasons(without)
    assert whole.keys() == {"kept", Reason.SKIPPED}
    assert spoiled[Reason.SKIPPED] == whole[Reason.SKIPPED] and 0 < spoiled["kept"] < whole["kept"]
    assert spoiled.keys() - whole.keys() == FAULTS[without]


@pytest.mark.parametrize("name", ["v1", "v2", "vision"])
def test_the_built_in_prompts_forbid_every_fault(name: str) -> None:
    pool = read_pool(PROJECT_ROOT / "data_demo")
    for form in (QaForm(), QaForm(n_choices=3), QaForm(YES_NO), QaForm(OPEN)):
        qa: dict[str, Any] = {"question": "Q?", "answer": "A", "explanation": "Why."}
        if form.kind == CHOICE:
            qa["choices"] = ["a", "b", "c"]
        for place in range(12):
            prompt = load_template(name).render(
                "image_scene", "", ["e"], pool[place], form=form, answer="Yes"
            )
            assert prompt is not None and apply_rules(prompt, json.loads(json.dumps(qa))) == qa


def test_a_prompt_without_a_list_of_rules_has_no_faults() -> None:
    for kind in QUESTION_WRITERS:
        image = PoolImage(id=1, path="", captions=["A dog."], boxes=[NamedBox("dog", (0.1, 0.2, 0.3, 0.4))])
        bare = f"Write.\n\nQuestion type: {kind}\n\nImage information\n- {image.captions[0]}\n"
        qa: dict[str, Any] = {"question": "Q?", "answer": "A", "explanation": "Why.", "choices": ["a", "b"]}
        assert apply_rules(bare, dict(qa)) == qa


def test_rules_are_proposed_from_the_marks_alone() -> None:
    marks = [
        MarkGroup("equal choices", 2, [("a reply", "")]),
        MarkGroup("a choice is marked as right or wrong", 9, [("Rules to revise:\nreply", "why")]),
        MarkGroup("speaks of a description", 1, []),
        MarkGroup("no words that the script knows", 12, []),
    ]
    prompt = revision_prompt(["Ask."], marks, 24)
    message = [{"role": "user", "content": prompt}]
    found = read_proposal(structured_reply(message, RULES_SCHEMA))
    assert found.rules == [
        "Ask.",
        "The question and its choices give no hint of its answer.",
        "The choices are all different, and exactly one is right.",
    ]
    assert read_proposal(reply(message)) == found
    # the same rules without marks against them: nothing to add
    same = revised_rules(revision_prompt(["Ask."], [MarkGroup("dull", 3, [])], 24))
    assert same["rules"] == ["Ask."]
    # a rule that is there already is not added again
    more = revised_rules(revision_prompt(found.rules, marks[:3], 24))
    assert more["rules"][3:] == ["Never mention captions or descriptions: the reader only has the picture."]
