"""Tests of category sets, and of the shipped one."""

from pathlib import Path

import pytest

from dataengine_lib.errors import ParameterError
from dataengine_lib.questions.categories import read_categories

V1 = """identity_reasoning, physical_property_reasoning, attribute_recognition, function_reasoning,
object_localization, attribute_comparison, nature_relation, future_prediction, image_scene,
spatial_relationship, image_quality, physical_relation, action_recognition, social_relation, image_style,
image_emotion, image_topic, knowledge-based_reasoning"""


def test_v1_has_the_published_types_each_with_a_definition() -> None:
    found = read_categories("v1")
    assert found.names == V1.replace("\n", " ").split(", ")
    definitions = [found.definition(name) for name in found.names]
    assert all(20 < len(text) < 160 and "\n" not in text for text in definitions)
    assert len(set(definitions)) == 18
    assert found.definition("ocr") == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("types: {a: [", "not valid YAML"),
        ("types: [a, b]", "must map each question type"),
        ("name: v1", "must map each question type"),
        ("types: {a: Text., b: 3}", r"types\.b"),
        ("", "must map each question type"),
    ],
)
def test_another_shape_names_the_file_and_key(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "set.yaml"
    file.write_text(text)
    with pytest.raises(ParameterError, match=message) as caught:
        read_categories(file)
    assert str(file) in str(caught.value) and "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        ParameterError,
        match=r"none\.yaml: cannot be read .*; .* name: v1, seed_bench, mmbench, mmbench_l3, mme",
    ):
        read_categories(tmp_path / "none.yaml")
