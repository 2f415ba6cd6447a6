"""What a wrong parameter is answered with: one short line, without the whole configuration."""

from typing import Any

import pytest

from dataengine_lib.core.text import shown
from dataengine_lib.errors import ParameterError
from dataengine_lib.steps.construct_queries import ConstructQueriesConfig
from dataengine_lib.steps.evaluate import EvaluateConfig

EVALUATE = {"questions": "q", "image_root": "i", "student": "s", "output_dir": "o"}
QUERIES = {"input": "a", "coco_dataset": "b", "coco_embedding": "c", "output": "d", "encoder": "e"}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"student": "api:x", "workers": 2}, "workers and adapter are for a student that is loaded here; leave them out"),
        ({"workers": "many"}, "workers: Input should be a valid integer, unable to parse string as an integer, or 'ray' "
                              "(given: 'many')"),
        ({"questions": ["a"] * 300}, "questions: Input is not a valid path (given: ['a', 'a', 'a', ...])"),
        ({"rank": "x" * 3000}, f"rank: Input should be 'text', 'letter' or 'generate' (given: '{'x' * 80}…')"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_one_short_line(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError) as caught:
        EvaluateConfig.read(EVALUATE | values, "my.yaml: evaluate")
    assert str(caught.value) == f"my.yaml: evaluate: {message}"


def test_keys_of_a_dict_are_named() -> None:
    with pytest.raises(ParameterError, match=r"step: targets\.a: .* \(given: 'b'\)"):
        ConstructQueriesConfig.read(QUERIES | {"targets": {"a": "b"}}, "step")


def test_shown_is_one_bounded_line_of_any_value() -> None:
    assert shown("a\n b") == "'a b'" and shown(5) == "5" and shown(None) == "None"
    assert shown(dict.fromkeys(range(900), "x" * 500)).count("\n") == 0
    assert (
        max(len(shown(value)) for value in ("y" * 10**6, [["z" * 900] * 9] * 9, {"k": {"k": "v" * 999}}))
        < 250
    )
