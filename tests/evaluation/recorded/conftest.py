"""The questions that recorded predictions are joined with."""

from pathlib import Path

import pytest
from predictions.recorded_questions import ASKED, question_rows

from dataengine_lib.questions.reader import QuestionRows


@pytest.fixture
def rows(tmp_path: Path) -> QuestionRows:
    return question_rows(tmp_path, [asked[0] for asked in ASKED])
