"""`dataengine init`: what it writes can be planned, and a wrong file is one line before anything is written."""

import io
import json
import os
import pty
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from PIL import Image
from project import PROJECT_ROOT

from dataengine_lib import cli
from dataengine_lib.core.user_files.yaml_file import parse_yaml, read_yaml
from dataengine_lib.runs.new_experiment.experiment_file import yaml_text
from dataengine_lib.runs.parameters import read_experiment
from dataengine_lib.runs.workflow import STEPS, Planned, first_configs, plan

DEMO = PROJECT_ROOT / "data_demo"
STUDENT = DEMO / "models" / "tiny-llava"
# a folder of a user that YAML would read otherwise without quotes
AWKWARD = 'Zoë\'s {a}: #1 "漢"'


def init(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    """The exit status of `dataengine init` in this process, whose standard input is no terminal."""
    monkeypatch.setattr(sys, "argv", ["dataengine", "init", *map(str, words)])
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


def planned(file: Path) -> list[Planned]:
    return plan(read_experiment(file, [step.name for step in STEPS], []), Path("out"))


def question(number: int = 1, **fields: object) -> dict[str, object]:
    usual = {"question_id": str(number), "image_path": f"{number}.png", "question": "Which?"}
    return {**usual, "choices": ["dog", "cat"], "correct_choice_idx": number % 2, **fields}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with questions, their images and a pool of images with captions."""
    data = tmp_path / AWKWARD
    data.mkdir()
    for number in (1, 2):
        Image.new("RGB", (8, 8)).save(data / f"{number}.png")
    rows = [question(number, question_type="Scene Understanding") for number in (1, 2)]
    (data / "q.json").write_text(json.dumps(rows))
    (data / "metadata.jsonl").write_text('{"file_name": "1.png", "text": "a dog"}\n')
    monkeypatch.chdir(tmp_path)
    return data


def test_what_it_writes_can_be_planned(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = Path(AWKWARD)
    words = ["--questions", data / "q.json", "--coco-dataset", data, "--student", STUDENT, "--maxnum", 7]
    words += ["--teacher", "openai:gpt-5.4-mini", "--out", data]
    assert init(monkeypatch, "mine", *words) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    lines = shown.out.splitlines()
    assert [line.split()[1] for line in lines[1:]] == ["doctor", "plan", "run"]
    configs = first_configs(planned(data / "mine.yaml"))
    evaluate, queries, teacher = (configs[name] for name in ("evaluate", "construct_queries", "generate_qa"))
    assert (evaluate.questions, evaluate.image_root) == (data / "q.json", data)
    assert (evaluate.student, queries.coco_dataset, queries.maxnum) == (str(STUDENT), data, 7)
    assert (teacher.teacher, teacher.budget_usd) == ("openai:gpt-5.4-mini", 10)
    # types that only SEED-Bench's set has
    assert evaluate.categories == queries.categories == "seed_bench"
    text = (data / "mine.yaml").read_text(encoding="utf-8")
    assert "2 questions of 1 type; format: questions with options, as A-OKVQA's\n" in text
    assert "1 image; format: folder of images with captions\n" in text
    for above, line in pairwise(text.splitlines()):
        if re.match(r" *\w+:", line):
            assert above.lstrip().startswith("# "), line
    assert init(monkeypatch, "mine", *words) == 2
    assert capsys.readouterr().err.endswith(
        "mine.yaml: exists already; choose another NAME, or remove the file\n"
    )
    assert (data / "mine.yaml").read_text(encoding="utf-8") == text


def test_without_any_value_the_example_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert init(monkeypatch, "mine.yaml") == 0
    text = (tmp_path / "mine.yaml").read_text()
    assert text.count("not there yet; give a file of your own") == 2
    assert [path.name for path in tmp_path.iterdir()] == ["mine.yaml"]
    of_missing = first_configs(planned(tmp_path / "mine.yaml"))
    monkeypatch.chdir(PROJECT_ROOT)
    assert init(monkeypatch, "mine", "--out", tmp_path / "there") == 0
    configs = first_configs(planned(tmp_path / "there" / "mine.yaml"))
    for name in ("questions", "image_root", "student"):
        assert getattr(configs["evaluate"], name) == getattr(of_missing["evaluate"], name)
    assert configs["evaluate"].questions.is_file() and configs["generate_qa"].teacher == "annotations"
    assert configs["generate_qa"].budget_usd is None


def test_questions_without_types_are_classified_first(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "q.json").write_text(json.dumps([question(1), question(2)]))
    words = ["--questions", folder / "q.json", "--coco-dataset", folder, "--student", "api:some/model"]
    assert init(monkeypatch, "mine", *words) == 0
    assert "note: questions have no types; step 0 asks openai:gpt-5.4-mini" in capsys.readouterr().out
    content = read_yaml(Path("mine.yaml"), "")
    assert content["classify_questions"]["questions"] == str(folder / "q.json")
    assert content["classify_questions"]["budget_usd"] == 10
    # where the images inside a table become files
    assert content["classify_questions"]["image_root"] == content["evaluate"]["image_root"] == str(folder)
    assert "questions" not in content["evaluate"] and content["evaluate"]["rank"] == "generate"
    assert planned(Path("mine.yaml"))[0].step.name == "classify_questions"
    assert init(monkeypatch, "local", *words[:-1], "vllm:some/model") == 0
    found = next(item.config for item in planned(Path("local.yaml")) if item.step.name == "evaluate")
    assert (found.student, found.rank) == ("vllm:some/model", "letter")


def test_types_that_no_category_set_has_are_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "q.json").write_text(json.dumps([question(n, question_type="rare birds") for n in (1, 2)]))
    assert init(monkeypatch, "mine", "--questions", folder / "q.json", "--student", STUDENT) == 0
    assert capsys.readouterr().out.startswith("note: no built-in category set has the questions' types; ")
    assert first_configs(planned(Path("mine.yaml")))["evaluate"].categories == "v1"


WRONG = {
    "no such file": (["--questions", "none.json"], "none.json: cannot be read"),
    "a folder": (["--questions", "."], ".: cannot be read (Is a directory)"),
    "other rows": (["--questions", "chats.json"], "looks like LLaVA's conversations"),
    "no answers": (["--questions", "test.json", "--image-root", "{data}"], "no question has an answer"),
    "no such root": (["--image-root", "none"], "none: no such folder"),
    "no images": (["--image-root", "empty"], "check image_root"),
    "no pool": (["--coco-dataset", "empty"], "empty: no instances_"),
    "no student": (["--student", "./none"], "none"),
    "no model": (["--student", "empty"], "empty: "),
    "no teacher": (["--teacher", "gpt"], "'gpt': not a teacher"),
    "no replies": (["--teacher", "replay:none.jsonl"], "none.jsonl: no such file"),
    "budget": (["--teacher", "openai:gpt-5", "--budget-usd", "-1"], "budget_usd: must be a number above 0"),
    "maxnum": (["--maxnum", "1.5"], "maxnum: must be a whole number above 0 (given: '1.5')"),
    "secret": (["--teacher", "openai:sk-proj-abcdefghijklmnopqrst"], "looks like a secret"),
}


@pytest.mark.parametrize("fault", WRONG)
def test_a_wrong_value_is_one_line_and_nothing_is_written(
    fault: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("empty").mkdir()
    Path("chats.json").write_text(json.dumps([{"image": "1.jpg", "conversations": []}]))
    Path("test.json").write_text(json.dumps([question(n, correct_choice_idx=None) for n in (1, 2)]))
    words, message = WRONG[fault]
    usual = {"--questions": folder / "q.json", "--coco-dataset": folder, "--student": STUDENT}
    given = usual | dict(zip(words[::2], words[1::2], strict=True))
    line = [
        str(word).format(data=folder) if word == "{data}" else word for pair in given.items() for word in pair
    ]
    assert init(monkeypatch, "mine", *line) in (1, 2)
    shown = capsys.readouterr()
    assert message in shown.err and len(shown.err.splitlines()) == 1 and shown.out == ""
    assert "sk-proj" not in shown.err
    assert not Path("mine.yaml").exists()


@pytest.mark.parametrize("name", ["", "-", "a/b", "../a", "ä", "a b", ".hidden"])
def test_a_name_is_that_of_a_folder(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert init(monkeypatch, "--", name) == 2
    assert list(tmp_path.iterdir()) == []


def test_texts_are_read_back_as_they_are() -> None:
    texts = [
        "a/b-c_d.json",
        "a b",
        "ä #1",
        "{x}",
        "[x]",
        "a: b",
        "- a",
        "'",
        '"',
        "\\n",
        "\n",
        "\t",
        "",
        " a ",
        "1.0",
    ]
    texts += [
        "null",
        "yes",
        "0x1f",
        "1e3",
        "2024-01-01",
        "~",
        "*a",
        "&a",
        "!a",
        "%a",
        "@a",
        "`",
        "\x85",
        "\u2028",
        "🦊",
    ]
    for text in texts:
        assert parse_yaml(f"key: {yaml_text(text)}") == {"key": text}, text
        assert len(yaml_text(text).splitlines()) == 1
    assert yaml_text("data/coco/val2017") == "data/coco/val2017"


def test_in_a_terminal_it_asks_and_asks_once_more(folder: Path) -> None:
    """In a real one, as a person uses it: one wrong answer, one default, no secret."""
    master, slave = pty.openpty()
    code = "from dataengine_lib.cli import main; main()"
    given = ["--student", str(STUDENT), "--maxnum", "7"]
    environment = os.environ | {"PYTHONPATH": str(PROJECT_ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", code, "init", "mine", *given],
        stdin=slave, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, cwd=folder.parent,
    ) as process:  # fmt: skip
        answers = ["none.json", str(folder / "q.json"), "", str(folder), "openai:gpt-5", "2.5"]
        os.write(master, "".join(f"{answer}\n" for answer in answers).encode())
        shown = process.communicate(timeout=300)[0].decode()
    os.close(slave)
    os.close(master)
    assert process.returncode == 0, shown
    assert "none.json: cannot be read" in shown
    assert len(re.findall("File of questions", shown)) == 2
    content = read_yaml(folder.parent / "mine.yaml", "")
    assert content["evaluate"] | {"student": ""} == {
        "questions": str(folder / "q.json"), "image_root": str(folder), "student": "", "categories": "seed_bench",
    }  # fmt: skip
    assert content["generate_qa"] == {"teacher": "openai:gpt-5", "budget_usd": 2.5}
    assert content["construct_queries"]["maxnum"] == 7
