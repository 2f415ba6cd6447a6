"""Tests of YAML that people write: values as they are, and one line with its place for every fault."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_loop import read_fake

from dataengine_lib.chat.prices import read_prices
from dataengine_lib.core.step_config import StepConfig
from dataengine_lib.core.user_files.yaml_file import parse_yaml, read_yaml
from dataengine_lib.errors import ParameterError
from dataengine_lib.questions.categories import read_categories

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{below}b: &{below}b [{', '.join([f'*{above}'] * 9)}]\n"
    for above, below in zip(["a", *(f"{n}b" for n in range(10))], map(str, range(11)), strict=True)
)
MERGES = "a: &a {x: 1}\n" + "".join(
    f"m{n}: &m{n} {{<<: [*{'a' if not n else f'm{n - 1}'}, *{'a' if not n else f'm{n - 1}'}]}}\n" for n in range(40)
)  # fmt: skip

# (bytes of the file, what the message says)
FAULTS: list[tuple[bytes, str]] = [
    (b"run: a\nevaluate:\n  x: 1\nrun: b\n", "line 1 and line 4: the key 'run' is given twice; keep one of them"),
    (b"evaluate:\n  seed: 1\n  rank: text\n  seed: 2\n", "line 2 and line 4: the key 'seed' is given twice"),
    (b"a: {b: 1, 'b': 2}", "line 1 and line 1: the key 'b' is given twice"),
    (b"run: a\n5: b\n", "line 2: the key 5 is not text; put it in quotes"),
    (b"null: b\n", "line 1: the key null is not text; put it in quotes"),
    (b"run: a\nyes: b\n", "line 2: the key yes is not text; put it in quotes"),
    (b"run: a\n1.5: b\n", "line 2: the key 1.5 is not text"),
    (b"? [a, b]\n: c\n", "line 1: a list or a mapping stands where a key should"),
    (b"run: &r [*r]\n", "line 1: an alias of the value that it stands in"),
    (LAUGHS.encode(), "more than 100,000 values, with those that aliases repeat"),
    (MERGES.encode(), "more than 100,000 values, with those that aliases repeat"),
    (b"a: " + b"[" * 100 + b"]" * 100, "line 1: nested too deep"),
    (b"a: " + b"[" * 100_000, "nested too deep"),
    (b"run: a\n\tevaluate: b\n", "line 2, column 1: while scanning for the next token found character '\\t'"),
    (b"run: !!python/object/apply:os.system ['touch owned']\n", "line 1, column 6: could not determine a constructor"),
    (b"run: !!int x\n", "invalid literal for int()"),
    (b"run: !!bool maybe\n", "'maybe'"),
    (b"--- \nrun: a\n---\nrun: b\n", "line 3, column 1: expected a single document in the stream"),
    (b"run: [1, 2", "line 1, column 11: while parsing a flow sequence"),
    (b"run: *none\n", "line 1, column 6: found undefined alias 'none'"),
    ("run: café".encode("latin-1"), "not saved as UTF-8"),
    (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "not saved as UTF-8; it looks like a PNG image"),
    (b"run: a\x00b\x01", "special characters are not allowed"),
    (b"<!DOCTYPE html>\n<html>: [", "it looks like a web page, not the file itself"),
    (b"version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 12: 1: 2\n", "it looks like a Git LFS pointer"),
    (b"#" * 5_000_000, "has 5,000,000 bytes, which is no file of settings"),
]  # fmt: skip

READERS: dict[str, Callable[[Path], object]] = {
    "experiment": read_fake,
    "categories": read_categories,
    "prices": read_prices,
}


@pytest.mark.parametrize("reader", READERS)
def test_every_fault_is_one_line_with_its_place(tmp_path: Path, reader: str) -> None:
    file = tmp_path / "f.yaml"
    for content, message in FAULTS:
        file.write_bytes(content)
        with pytest.raises(ParameterError) as caught:
            READERS[reader](file)
        found = str(caught.value)
        assert found.startswith(f"{file}: ") and message in found, (content[:80], found)
        assert "\n" not in found and len(found) < 500, found
    assert not Path("owned").exists()


@pytest.mark.parametrize("reader", READERS)
def test_what_is_no_file_is_one_line(tmp_path: Path, reader: str) -> None:
    for path in (tmp_path, tmp_path / "none.yaml", Path("a\0b.yaml")):
        with pytest.raises(ParameterError, match=r"cannot be read \(.+\); ") as caught:
            READERS[reader](path)
        assert "\0" not in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["", "text", "- a\n- b\n", "5"])
@pytest.mark.parametrize("reader", READERS)
def test_yaml_of_another_form_is_one_line(tmp_path: Path, reader: str, content: str) -> None:
    (tmp_path / "f.yaml").write_text(content)
    with pytest.raises(ParameterError, match=r"f\.yaml: ") as caught:
        READERS[reader](tmp_path / "f.yaml")
    assert "\n" not in str(caught.value)


def test_values_stay_as_they_are(tmp_path: Path) -> None:
    text = "a: 1\nb: 1.5\nc: true\nd: null\ne: 2024-08-06\nf: &f {x: [1, two]}\ng: *f\nh: {<<: *f, y: 2}\n'5': ä\n"
    expected = {
        "a": 1, "b": 1.5, "c": True, "d": None, "e": "2024-08-06", "f": {"x": [1, "two"]}, "g": {"x": [1, "two"]},
        "h": {"x": [1, "two"], "y": 2}, "5": "ä",
    }  # fmt: skip
    (tmp_path / "f.yaml").write_text("\ufeff" + text, encoding="utf-8")
    assert read_yaml(tmp_path / "f.yaml", "check the path") == expected == parse_yaml(text)
    assert parse_yaml("") is None and parse_yaml("x=y") == "x=y"


def test_a_set_option_is_read_within_the_same_limits(tmp_path: Path) -> None:
    (tmp_path / "f.yaml").write_text("run: fake\n")
    for value in ("{a: 1, a: 2}", "[" * 99, "!!python/name:os.system", "{1: 2}"):
        with pytest.raises(
            ParameterError, match=r"--set write\.text: the value is not valid YAML \(.+\); quote"
        ):
            read_fake(tmp_path / "f.yaml", f"write.text={value}")


class Settings(StepConfig):
    file: Path | None = None
    names: list[str] = []  # noqa: RUF012
    text: str = ""


@pytest.mark.parametrize(
    "values", [{"file": "a\0b"}, {"file": Path("a\0")}, {"names": ["a", "\0"]}, {"text": "\0"}]
)
def test_a_null_byte_in_any_parameter_is_one_line(values: dict[str, object]) -> None:
    for read in (lambda: Settings.read(values, "f.yaml: step"), lambda: Settings.from_notebook(dict(values))):
        with pytest.raises(
            ParameterError, match=r": (file|names|text): holds a null byte \(given: '.*\\x00"
        ) as caught:
            read()
        assert "\0" not in str(caught.value)


_PLAN = "from dataengine_lib.cli import main; main()"


def test_the_command_line_prints_one_line_for_a_hostile_yaml(tmp_path: Path) -> None:
    for content in (
        LAUGHS,
        'run: "a"\nevaluate: {questions: "q\\0.json", image_root: a, student: b, output_dir: c}\n',
    ):
        (tmp_path / "f.yaml").write_text(content)
        # with bounds: what is not stopped would take all memory
        run = subprocess.run(
            ["bash", "-c", 'ulimit -v 4000000; exec "$@"', "-", sys.executable, "-c", _PLAN, "plan", "f.yaml"],
            capture_output=True, text=True, timeout=60, cwd=tmp_path,
        )  # fmt: skip
        assert (run.returncode, run.stdout) == (2, ""), run.stderr
        assert all(line.startswith("dataengine: f.yaml: ") for line in run.stderr.splitlines()), run.stderr
        assert ("holds a null byte" in run.stderr) != ("aliases repeat" in run.stderr)
