"""Tests of step 2's prompts: order of the parts, a layout that step 4 can read, and the limit on tokens."""

import re
from pathlib import Path

import pytest

from dataengine_lib.chat.prices import estimate_tokens
from dataengine_lib.errors import DataEngineError
from dataengine_lib.images.pool import NamedBox, PoolImage
from dataengine_lib.playground.teacher import reply
from dataengine_lib.queries.prompt import QueryPrompt, load_template
from dataengine_lib.replies.drop_reasons import Reason
from dataengine_lib.replies.parse import parse_reply
from dataengine_lib.resources import QUERY_PROMPTS

CAPTIONS = [f"A dog number {number} sits on the grass. It is 3.{number} m long." for number in range(5)]
IMAGE = PoolImage(id=1, path="1.jpg", captions=CAPTIONS, boxes=[NamedBox("dog", (0.1, 0.25, 0.5, 1.0))] * 10)
EXAMPLE = "Question: Which?\nChoices: (A) dog (B) cat (C) cow (D) pig\nAnswer: The answer is (B): cat."


def built_in(name: str) -> QueryPrompt:
    return load_template(name)


def render(template: QueryPrompt, kind: str = "image_scene", examples: int = 2, **more: int) -> str | None:
    return template.render(kind, "What it means.", [EXAMPLE] * examples, IMAGE, more.get("most"))


@pytest.mark.parametrize("name", QUERY_PROMPTS.names)
def test_rules_then_type_then_examples_then_image(name: str) -> None:
    text = render(built_in(name), examples=10)
    assert text is not None
    places = [
        text.index(part)
        for part in ("Rules:", "Reply in exactly", "\nQuestion type: image_scene\nThis type means: What it means.",
                     "\nExamples the student", "\nImage information\nCaptions:\n- A dog number 0", "\nObjects (name:",
                     "- dog: [0.100, 0.250, 0.500, 1.000]\n", "\nWrite one new question of type image_scene")
    ]  # fmt: skip
    assert places == sorted(places)
    assert text.count(EXAMPLE) == 10 and text.count("\nQuestion type: ") == 1


@pytest.mark.parametrize("name", ["v2", "vision"])
def test_the_common_beginning_is_long_enough_for_a_servers_cache(name: str) -> None:
    """OpenAI caches from 1,024 tokens on; GPT tokenizers (cl100k, o200k) take 4.29 characters of these for one."""
    texts = [render(built_in(name), kind) or "" for kind in ("image_scene", "action_recognition")]
    common = next(place for place, (a, b) in enumerate(zip(*texts, strict=False)) if a != b)
    assert texts[0][:common].endswith("\nQuestion type: ") and common > 1024 * 4.29


@pytest.mark.parametrize("name", QUERY_PROMPTS.names)
def test_the_layout_that_is_asked_for_is_what_step_4_reads(name: str) -> None:
    text = render(built_in(name)) or ""
    layout, skip = re.findall(r"lines and nothing else:\n(.+?)\nor, when .+?:\n(.+?)\n\n", text, re.DOTALL)[0]
    words = iter(["dog", "cat", "cow", "pig"])
    filled = layout.replace("<the question>", "Which?").replace("<one to three words>", "cat")
    filled = re.sub("<choice>", lambda _: next(words), filled)
    filled = (
        filled.replace("<letter>", "B").replace("<the choice's text>", "cat").replace("<the reason>", "So.")
    )
    assert "<" not in filled
    parsed = parse_reply(filled)
    assert isinstance(parsed, list)
    assert (parsed[0].choices, parsed[0].correct_choice_idx) == (["dog", "cat", "cow", "pig"], 1)
    assert (parsed[0].rationales, parsed[0].short_answer) == (["So."], "cat" if name == "v2" else "")
    assert parse_reply(skip) is Reason.SKIPPED


@pytest.mark.parametrize("name", QUERY_PROMPTS.names)
def test_the_scripted_teacher_answers_each_kind_from_its_text(name: str) -> None:
    image = PoolImage(
        id=1,
        path="1.jpg",
        captions=["A sharp picture about a birthday, with bunting and confetti.", "There is a cake."],
        boxes=[NamedBox("cake", (0.0, 0.7, 0.2, 0.9))],
    )
    text = built_in(name).render("image_topic", "", [EXAMPLE], image)
    parsed = parse_reply(reply([{"role": "user", "content": [{"type": "text", "text": text}]}]))
    assert isinstance(parsed, list)
    assert parsed[0].choices[parsed[0].correct_choice_idx] == "birthday"
    assert bool(parsed[0].short_answer) == (name == "v2")


def test_only_vision_attaches_the_picture(tmp_path: Path) -> None:
    assert {name: built_in(name).attach_image for name in QUERY_PROMPTS.names} == {
        "v1": False, "v2": False, "vision": True,
    }  # fmt: skip
    for text, attached in (
        ("{% set attach_image = true %}Look.", True),
        ("{% set attach_image = false %}Look.", False),
        ("{% set attach_image = captions %}Look.", False),
        ("{% set other = true %}attach_image", False),
    ):
        (tmp_path / "t.j2").write_text(text)
        assert load_template(tmp_path / "t.j2").attach_image == attached


def test_custom_templates_may_use_the_numbers_of_boxes(tmp_path: Path) -> None:
    (tmp_path / "t.j2").write_text("{% for box in objects %}{{ box.name }} {{ box.xyxy[1] }};{% endfor %}")
    assert (render(load_template(tmp_path / "t.j2")) or "").startswith("dog 0.25;dog 0.25;")


def test_an_unknown_template_name_lists_the_built_in_ones(tmp_path: Path) -> None:
    with pytest.raises(
        DataEngineError, match=r"v3: cannot be read .*; give a file or a built-in name: v1, v2, vision"
    ):
        built_in("v3")
    (tmp_path / "t.j2").write_bytes(b"\xff\xfe")
    with pytest.raises(DataEngineError, match=r"t\.j2: cannot be read \(not UTF-8\)"):
        load_template(tmp_path / "t.j2")


def test_captions_go_last_first_and_whole_until_the_budget_holds_the_text() -> None:
    template = built_in("v1")
    full = render(template) or ""
    seen = set()
    for most in range(estimate_tokens(full), 0, -1):
        text = render(template, most=most)
        if text is None:
            break
        assert estimate_tokens(text) <= most
        kept = [caption for caption in CAPTIONS if f"- {caption}\n" in text]
        assert kept == CAPTIONS[: len(kept)] and text.count("- A dog") == len(kept)
        assert text.count("- dog: [0.100, 0.250, 0.500, 1.000]") == 10
        seen.add(len(kept))
    assert seen == set(range(6))
    assert text is None, "without captions, boxes and examples are never cut: it does not fit"
    assert render(template, most=estimate_tokens(full)) == full == render(template)


@pytest.mark.parametrize(
    ("text", "tokens"),  # counted with OpenAI's cl100k_base, of which o200k_base takes no more for any of these
    [
        ("Objects (name: [x1, y1, x2, y2], from 0 to 1):\n" + "- dog: [0.100, 0.200, 0.300, 0.444]\n" * 10, 254),
        ("一只狗坐在长椅旁边的草地上，阳光明媚。" * 5, 150),
        ("Собака сидит на траве рядом со скамейкой на солнце." * 5, 130),
        ("🐶🌳😀" * 10, 80),
        ("- A zebra, a giraffe and an ostrich graze near an acacia tree in the Serengeti.\n" * 5, 130),
    ],
)  # fmt: skip
def test_the_token_estimate_is_an_upper_bound_for_any_script(text: str, tokens: int) -> None:
    assert tokens <= estimate_tokens(text) < 3 * tokens
