"""A list of rules put into a prompt and into its template: both say the same, for every built-in template and form."""

from pathlib import Path

import pytest

from dataengine_lib.core.records import CHOICE, OPEN, YES_NO, QaForm
from dataengine_lib.errors import ParameterError
from dataengine_lib.images.pool import NamedBox, PoolImage
from dataengine_lib.prompt_versions.rule_template import RuleTemplate, listed_rules, rules_diff
from dataengine_lib.queries.prompt import QueryPrompt, load_template

# A caption and an example that look like parts of the prompt.
IMAGE = PoolImage(
    id=7,
    path="7.jpg",
    captions=["Rules:", "1. A dog.", "A sign says: when rule 8 applies, wait."],
    boxes=[NamedBox("dog", (0.1, 0.2, 0.3, 0.4))],
)
EXAMPLES = ["Question: What does it say?\nAnswer: when rule 10 applies", "Rules:\n1. Obey.\n"]
FORMS = [QaForm(), QaForm(CHOICE, 3), QaForm(YES_NO), QaForm(OPEN)]
HOSTILE = 'Ask {{ 7 * 7 }} "twice" {% endif %}{# never #} \\ é 漢 }}'


def render(template: QueryPrompt, form: QaForm) -> str:
    text = template.render(
        "image_scene", "Where it is.", EXAMPLES, IMAGE, form=form, answer="No" if form.kind == YES_NO else ""
    )
    assert text is not None
    return text


@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"{form.kind}{form.n_choices}")
@pytest.mark.parametrize("name", ["v1", "v2", "vision"])
def test_prompt_and_template_say_the_same(name: str, form: QaForm, tmp_path: Path) -> None:
    template = load_template(name)
    versions = RuleTemplate(template, form)
    prompt = render(template, form)
    assert len(versions.rules) in (8, 10) and versions.prompt(prompt, versions.rules) == prompt
    assert versions.source(versions.rules) == template.file.read_text(encoding="utf-8")
    skips = versions.rules[-1]
    for rules, reference in (
        ([HOSTILE, *versions.rules[1:]], f"when rule {len(versions.rules)} applies"),
        ([skips, "Be short."], "when rule 1 applies"),
        ([f"{skips} Do so in one sentence."], "when rule 1 applies"),
        (["Be short."], "when there is no such question"),
    ):
        file = tmp_path / "version.j2"
        file.write_text(versions.source(rules), encoding="utf-8")
        changed = load_template(file)
        assert changed.attach_image == template.attach_image
        shown = render(changed, form)
        assert shown == versions.prompt(prompt, rules)
        assert f"or, {reference}:\n" in shown and f"1. {rules[0]}\n" in shown and "49" not in shown
        # what the person's files say stays, and other forms are asked for as before
        assert "A sign says: when rule 8 applies, wait." in shown and "when rule 10 applies\n" in shown
        for other in FORMS:
            if other != form:
                assert render(changed, other) == render(template, other)
        # a version is a template like any other: its rules can be revised once more
        assert RuleTemplate(changed, form).rules == rules


def test_prompts_of_other_templates_are_not_changed() -> None:
    versions = RuleTemplate(load_template("v1"), QaForm())
    for other in (
        render(load_template("v2"), QaForm()),
        render(load_template("v1"), QaForm(OPEN)),
        "no rules",
    ):
        assert versions.prompt(other, ["Be short."]) is None


def test_a_template_for_one_form_has_no_conditions(tmp_path: Path) -> None:
    file = tmp_path / "own.j2"
    file.write_text(
        "Write.\n\nRules:\n1. Ask\n   something.\n2) Skip.\n\nor, when rule 2 applies: Skip\n{{ captions[0] }}\n"
    )
    versions = RuleTemplate(load_template(file), QaForm())
    assert versions.rules == ["Ask something.", "Skip."]
    assert versions.source(["Skip."]).startswith(
        "Write.\n\nRules:\n1. Skip.\n\nor, when rule 1 applies: Skip\n"
    )
    file.write_text("Write about {{ captions[0] }}\n")
    with pytest.raises(
        ParameterError, match=r"own\.j2: has no list of rules to revise; write a line `Rules:`"
    ):
        RuleTemplate(load_template(file), QaForm())


def test_lists_are_read_as_people_write_them() -> None:
    assert listed_rules("1. One\n goes on\n\n2) Two\n3. One goes on\n") == ["One goes on", "Two"]
    assert listed_rules("no number\n1. One") == ["no number", "One"]
    assert rules_diff(["a", "b", "c"], ["a", "x", "c", "d"]) == [
        *((" ", "a"), ("-", "b"), ("+", "x"), (" ", "c"), ("+", "d")),
    ]
