"""Step 0: questions without a type are a warning up to `max_failed_share`, and stop the step above it."""

import re
from pathlib import Path
from typing import Any

import pytest

from dataengine_lib.core.files import read_json, write_json
from dataengine_lib.core.records import Question
from dataengine_lib.errors import DataEngineError
from dataengine_lib.playground.server import serve
from dataengine_lib.steps.classify_questions import (
    ClassifyQuestionsConfig,
    ClassifyQuestionsResult,
    classify_questions,
)


def classify(folder: Path, without_type: int, number: int = 10, **settings: Any) -> ClassifyQuestionsResult:
    """Of `number` questions the server names a type of its own for the first `without_type`."""
    rows = [
        Question(
            question_id=f"q{i}", image_id=i, question=f"thing {i}?", choices=["a", "b"], correct_choice_idx=0
        )
        for i in range(number)
    ]
    write_json(folder / "questions.json", rows)

    def writer(messages: list[dict[str, Any]]) -> str:
        asked = messages[-1]["content"].rpartition("Questions:")[2]
        found = re.findall(r"^(\d+): thing (\d+)\?", asked, re.M)
        return "\n".join(f"{n}: {'smells' if int(i) < without_type else 'image_scene'}" for n, i in found)

    with serve(writer) as server:
        return classify_questions(
            ClassifyQuestionsConfig(
                questions=folder / "questions.json",
                output=folder / "classified.json",
                teacher="openai:sorter",
                base_url=server.base_url,
                **settings,
            )
        )


@pytest.mark.parametrize(
    ("without", "settings"), [(5, {}), (1, {"max_failed_share": 0.1}), (9, {"max_failed_share": 1})]
)
def test_up_to_the_limit_it_is_a_warning(without: int, settings: dict[str, Any], tmp_path: Path) -> None:
    result = classify(tmp_path, without, **settings)
    assert (
        sum(result.counts.values())
        == 10 - without
        == len(read_json(tmp_path / "classified.json")["image_scene"])
    )
    (warning,) = result.warnings
    assert warning.startswith(
        f"{without} of 10 questions have no type and are not in the output, the first: 'thing 0?'"
    )


@pytest.mark.parametrize(
    ("without", "settings"), [(6, {}), (1, {"max_failed_share": 0}), (3, {"max_failed_share": 0.2})]
)
def test_above_the_limit_it_stops_and_writes_nothing(
    without: int, settings: dict[str, Any], tmp_path: Path
) -> None:
    limit = settings.get("max_failed_share", 0.5)
    with pytest.raises(DataEngineError) as caught:
        classify(tmp_path, without, **settings)
    message = str(caught.value)
    assert message.startswith(
        f"{tmp_path / 'questions.json'}: {without} of 10 questions got no type of v1 ('smells'"
    )
    assert re.search(rf"or raise max_failed_share \({re.escape(str(limit))}(\.0)?\)$", message)
    assert not (tmp_path / "classified.json").exists()


def test_none_at_all_stops_whatever_the_limit(tmp_path: Path) -> None:
    with pytest.raises(
        DataEngineError, match=r"none of 10 rows got a type of v1 \('smells'.*check file and teacher"
    ):
        classify(tmp_path, 10, max_failed_share=1)
    assert classify(tmp_path, 0).warnings == []
