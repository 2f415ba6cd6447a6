"""A user's prompt template is filled with what it may use, and its faults are one line that names the file."""

import re
import subprocess
import sys
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


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a\n{{ 1 / 0 }}", "line 2: ZeroDivisionError: division by zero"),
        ("{{ question + 1 }}", "line 1: TypeError: can only concatenate str"),
        ("{{ captions.x.y }}", "'list object' has no attribute 'x'"),
        ("{{ 10.0 ** 1000 }}", "line 1: OverflowError"),
        ("{{ range(1000000) }}", "line 1: OverflowError: Range too big"),
        ("{{ question | round }}", "line 1: TypeError"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "RecursionError|never ends"),
        ("{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}", "cannot be read as a template"),
        ("{% include 'other.j2' %}", "no loader for this environment"),
    ],
)
def test_whatever_a_template_raises_is_one_line(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(
        ParameterError, match=rf"t\.j2: .*({fault}).*; names to use: question, captions$"
    ) as caught:
        template(tmp_path, text).render(question="Who?", captions=[])
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


ENDLESS = [
    "{{ 'a' * 10**10 }}",
    "{{ 10**10 * 'a' }}",
    "{{ [1] * 10**10 }}",
    "{{ 10**(10**10) }}",
    "{{ 'a'.ljust(10**10) }}",
    "{{ 'a' | center(10000000000) }}",
    "{{ '%10000000000d' % 1 }}",
    "{{ '%*d' % (10000000000, 1) }}",
    "{{ '%10000000000d' | format(1) }}",
    "{{ '{:>10000000000}'.format(1) }}",
    "{{ '{:>{}}'.format(1, 10000000000) }}",
    "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "{% for i in range(99999) %}{% for j in range(99999) %}{{ j }}{% endfor %}{% endfor %}",
    "{% set n = namespace(x='a') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
    "{% set n = namespace(x='a') %}{% for i in range(60) %}{% set n.x = n.x + n.x %}{% endfor %}",
    "{% set n = namespace(x=[]) %}{% for i in range(60) %}{% set n.x = [n.x, n.x] %}{% endfor %}{{ n.x }}",
    "{% set n = namespace(x=[]) %}{% for i in range(60) %}{% set n.x = [n.x, n.x] %}{% endfor %}{{ n.x | tojson }}",
    "{% set n = namespace(x='aa') %}{% for i in range(60) %}{% set n.x = n.x.replace('a', n.x) %}{% endfor %}",
    "{% set n = namespace(x='aa') %}{% for i in range(60) %}{% set n.x = n.x | replace('a', n.x) %}{% endfor %}",
    "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
    "{{ range(99999) | map('string') | join('a' * 9999999) }}",
    "{{ ('a\n' * 9999999) | indent(9999) }}",
]

_RENDER = """
import sys
from pathlib import Path
from dataengine_lib.core.prompt_template import PromptTemplate
from dataengine_lib.errors import ParameterError
for file in sorted(Path(sys.argv[1]).glob("*.j2"), key=lambda file: int(file.stem)):
    try:
        print("rendered", len(PromptTemplate(file, names="question", remedy="").render(question="Who?")))
    except ParameterError as error:
        print(error)
"""


def test_templates_without_end_are_one_line(tmp_path: Path) -> None:
    for number, text in enumerate(ENDLESS):
        (tmp_path / f"{number}.j2").write_text(text)
    # with bounds: what is not stopped would take all memory, or all day
    run = subprocess.run(
        ["bash", "-c", 'ulimit -v 2000000; exec "$@"', "-", sys.executable, "-c", _RENDER, str(tmp_path)],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    assert len(lines) == len(ENDLESS)
    for text, line in zip(ENDLESS, lines, strict=True):
        assert re.search(r"\.j2: .*(never ends|too large|five digits).*; names to use: question$", line), (
            text,
            line,
        )


def test_ordinary_templates_are_rendered_as_before(tmp_path: Path) -> None:
    text = (
        "{% for one in captions %}{{ loop.index }}/{{ loop.length }}{{ '' if loop.last else ', ' }}{% else %}none"
        "{% endfor %} {{ 'a' ~ 1 ~ question }} {{ '%.2f' % 0.5 }} {{ '{:>5}'.format('x') }} {{ 2 * 3 + 2 ** 3 }} "
        "{{ captions | join('; ') }} {{ question | replace('W', 'w') | center(8) | trim }} {{ '-' * 3 }}"
    )
    filled = template(tmp_path, text)
    expected = "1/2, 2/2 a1Who? 0.50     x 14 a; b who? ---"
    assert filled.render(question="Who?", captions=["a", "b"]) == expected
    assert filled.render(question="Who?", captions=[]).startswith("none a1Who?")
    # each rendering has a budget of its own
    assert all(filled.render(question="Who?" * 100_000, captions=["a"] * 1000) for _ in range(40))
