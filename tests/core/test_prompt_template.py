"""A user's prompt template is filled with what it may use, and its faults are one line that names the file."""

from pathlib import Path

import pytest

from dataengine_lib.core.prompt_template import PromptTemplate
from dataengine_lib.errors import ParameterError


def template(folder: Path, text: str) -> PromptTemplate:
    file = folder / "t.j2"
    file.write_text(text, encoding="utf-8")
    return PromptTemplate(file, names="question, captions", remedy="check the path")


def test_blocks_leave_no_blank_lines(tmp_path: Path) -> None:
    filled = template(
        tmp_path, "{{ question }}\n  {% for one in captions %}\n- {{ one }}\n  {% endfor %}\nEnd"
    )
    assert filled.render(question="Who?", captions=["a", "b"]) == "Who?\n- a\n- b\nEnd"


def test_a_syntax_error_names_its_line(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"t\.j2: line 2: .*; names to use: question, captions$"):
        template(tmp_path, "{{ question }}\n{{ captions }")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{{ answer }}", "'answer' is undefined"),
        ("{{ question.__class__.__mro__ }}", "access to attribute '__class__'"),
    ],
)
def test_nothing_else_can_be_used(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(ParameterError, match=rf"t\.j2: {fault}.*; names to use: question, captions$"):
        template(tmp_path, text).render(question="Who?", captions=[])


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"none\.j2: cannot be read \(.+\); check the path$"):
        PromptTemplate(tmp_path / "none.j2", names="question", remedy="check the path")
    (tmp_path / "latin.j2").write_bytes(b"caf\xe9")
    with pytest.raises(ParameterError, match=r"latin\.j2: cannot be read \(not UTF-8\); check the path$"):
        PromptTemplate(tmp_path / "latin.j2", names="question", remedy="check the path")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{% set attached = true %}", True),
        ("{% set attached = false %}", False),
        ("{% set other = true %}{{ attached }}", False),
        ("text", False),
    ],
)
def test_a_constant_that_the_template_sets(tmp_path: Path, text: str, expected: bool) -> None:
    assert template(tmp_path, text).sets("attached") is expected
