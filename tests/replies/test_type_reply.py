"""The teacher's reply of step 0 is read as JSON or as lines, and no type is invented."""

import json
from collections import Counter

import pytest

from dataengine_lib.replies.type_reply import parse_types

NAMES = ["image_scene", "knowledge-based_reasoning", "attribute_recognition"]


def as_json(text: str) -> str:
    """The `number: type` lines of `text` as the schema has them."""
    pairs = [line.split(": ") for line in text.splitlines()]
    return json.dumps({"types": [{"id": int(number), "question_type": kind} for number, kind in pairs]})


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("1: image_scene", "image_scene"),
        ("1. Image scene", "image_scene"),
        ("- **1**: `image_scene`", "image_scene"),
        ("Question 1 - IMAGE_SCENE", "image_scene"),
        ("1) image-scene (a beach)", "image_scene"),
        ("1: image_scene - it asks for the place", "image_scene"),
        ("1: Knowledge based reasoning.", "knowledge-based_reasoning"),
    ],
)
def test_parser_reads_the_ways_that_models_write(line: str, expected: str) -> None:
    assert parse_types(line, NAMES) == ({1: expected}, Counter())


def test_parser_names_the_illegal_and_takes_no_contradiction() -> None:
    lines = ["Here you are:", "1: image_scene", "2: beach_type", "3: image_scene", "3: attribute_recognition"]
    reply = "\n".join([*lines, "4: image_scene", "4: image_scene"])
    types, illegal = parse_types(reply, NAMES)
    assert types == {1: "image_scene", 4: "image_scene"} and illegal == {"beach_type": 1}


@pytest.mark.parametrize(
    "reply",
    [
        '{"types": [{"id": 1, "question_type": "image_scene"}]}',
        'Here:\n```json\n{"types": [\n  {"id": "1",\n   "question_type": "Image Scene"}]}\n```',
        '[{"question_type": "image_scene", "id": 1}]',
        '{"types": [{"id": 1, "question_type": "image_scene"}, {"id": 2, "quest',
        "```\n1: image_scene\n```",
    ],
)
def test_parser_reads_json_fenced_cut_or_bare(reply: str) -> None:
    assert parse_types(reply, NAMES) == ({1: "image_scene"}, Counter())


def test_parser_names_the_illegal_in_json_too() -> None:
    reply = as_json("1: image_scene\n2: beach_type\n3: image_scene\n3: attribute_recognition")
    assert parse_types(reply, NAMES) == ({1: "image_scene"}, {"beach_type": 1})
    assert parse_types('{"id": null, "question_type": "image_scene"} {"id": 4}', NAMES) == ({}, {})


@pytest.mark.parametrize(
    "reply",
    [
        '{"1": "image_scene", "2": "Attribute recognition"}',
        '{"types": {"1": "image_scene", "2": "attribute_recognition"}}',
        '```json\n{"Question 1": "image_scene", "Q2": ["attribute_recognition"]}\n```',
        '[{"id": 1, "type": "image_scene"}, {"id": "2", "type": "attribute_recognition"}]',
        '{"answers": [{"question_id": 1, "category": "image_scene"}, {"number": 2, "type": "attribute_recognition"}]}',
        '{"types": ["image_scene", "attribute_recognition"]}',
        '["1: image_scene", "2: attribute_recognition"]',
        '{"types": [{"id": 0, "question_type": "image_scene"}, {"id": 1, "question_type": "attribute_recognition"}]}',
        '{"result": {"types": [{"id": 1, "question_type": ["image_scene"]}, {"id": 2, "question_type": '
        '"attribute_recognition", "why": {"text": "It asks for a colour."}}]}}',
    ],
)
def test_parser_reads_json_that_does_not_keep_to_the_schema(reply: str) -> None:
    types, illegal = parse_types(reply, NAMES, 2)
    assert (types, illegal) == ({1: "image_scene", 2: "attribute_recognition"}, Counter())


@pytest.mark.parametrize(
    "reply",
    [
        '{"types": ["image_scene", "attribute_recognition"]}',
        '{"types": [{"id": 0, "question_type": "image_scene"}, {"id": 1, "question_type": "image_scene"}]}',
        '{"1": "image_scene", "1": "attribute_recognition"}',
        '{"types": [{"id": 1, "question_type": ["image_scene", "attribute_recognition"]}]}',
        '{"image_scene": 1}',
    ],
)
def test_parser_gives_no_type_where_two_readings_are_possible(reply: str) -> None:
    assert parse_types(reply, NAMES, 3) == ({}, {})
