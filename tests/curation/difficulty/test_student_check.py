"""Step 4 asks the current student: what is dropped, marked and reviewed, and a killed run continues."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from coco_folder import annotation, coco
from PIL import Image

from dataengine_lib.core.files import read_json, read_jsonl, write_jsonl
from dataengine_lib.core.records import Result, TrainRecord
from dataengine_lib.curation.candidates import Reject
from dataengine_lib.errors import ParameterError
from dataengine_lib.playground.server import serve
from dataengine_lib.replies.drop_reasons import Reason
from dataengine_lib.steps.post_process import PostProcessConfig, PostProcessResult, post_process
from dataengine_lib.students import loading
from dataengine_lib.widgets.reviewer import reviewer

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}
CHOICES = ["red", "green", "blue", "white"]


class Sees:
    """A student that knows the colour of an image, likes the first option a little, and may be killed."""

    def __init__(self, most: int = 10**9) -> None:
        self.most, self.asked, self.images = most, Counter[str](), set[Any]()

    def rank(
        self, images: Sequence[Image.Image], prompts: Sequence[str], choices: Any, scored: str = "text"
    ) -> list[list[float]]:
        if len(self.asked) + len(prompts) > self.most:
            raise KeyboardInterrupt
        self.asked.update(prompts)
        seen = [image.getpixel((0, 0)) for image in images]
        self.images |= set(seen)
        return [
            [4.0 * (COLOURS.get(text) == pixel) + 0.1 * (place == 0) for place, text in enumerate(row)]
            for pixel, row in zip(seen, choices, strict=True)
        ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """12 red images with one question each; the teacher is wrong about every third one, where it says blue."""
    rows = []
    for number in range(12):
        Image.new("RGB", (16, 16), COLOURS["red"]).save(tmp_path / f"{number}.png")
        letter, right = ("C", "blue") if number % 3 == 0 else ("A", "red")
        text = (
            f"Question: Which colour has thing {number}?\nChoices: (A) red (B) green (C) blue (D) white\n"
            f"Answer: The answer is ({letter}): {right}.\nExplanation: It has."
        )
        kind = "ocr" if number < 6 else "image_topic"
        rows.append(
            Result(
                image_id=number, image_path=f"{number}.png", raw_instructions=text,
                question_type=kind, query_id=f"q{number}",
            )
        )  # fmt: skip
    write_jsonl(tmp_path / "in.jsonl", rows)
    return tmp_path


def step(folder: Path, **options: Any) -> PostProcessResult:
    config = {
        "input": folder / "in.jsonl", "output": folder / "out.json", "image_root": folder,
        "difficulty": "drop", "student": "none/such", "near_duplicates": "off", "blind_classifier": "off",
        "batch_size": 3,
    }  # fmt: skip
    return post_process(PostProcessConfig.read(config | options, "test"))


def loads(monkeypatch: pytest.MonkeyPatch, student: Sees) -> Sees:
    monkeypatch.setattr(loading, "load_student", lambda *args: student)
    return student


def ids(result: PostProcessResult) -> list[str]:
    return [one.query_id for one in read_json(result.output, list[TrainRecord])]


def test_what_the_student_knows_is_dropped(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    student = loads(monkeypatch, Sees())
    result = step(folder)
    assert ids(result) == ["q0", "q3", "q6", "q9"]
    rejects = read_jsonl(result.rejects_path, Reject)
    assert {one.reason for one in rejects} == {Reason.KNOWN} and len(rejects) == 8
    assert all(one.detail.startswith("with probability 0.9") for one in rejects)
    assert result.counts.by_type["ocr"].by_reason == {Reason.KNOWN: 4}
    ocr = result.counts.checks.difficulty.by_type["ocr"]
    assert (ocr.known, ocr.kept, ocr.missed) == (4, 2, 2)
    for one in read_json(result.output, list[TrainRecord]):  # the choices were shuffled afterwards
        assert one.choices[one.student_answer] == "red" and one.choices[one.correct_choice_idx] == "blue"
        assert one.student_probability < 0.05
    # no option is shown at its own letter, and all are there
    shown = [prompt.partition("\n")[2] for prompt in student.asked]
    assert all("(A) red" not in text and "(C) blue" not in text for text in shown)
    assert all(sorted(text.split()[1::2]) == sorted(CHOICES) for text in shown)


def test_marks_thresholds_and_reversed_options(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    student = loads(monkeypatch, Sees())
    marked = step(folder, difficulty="mark")
    assert len(ids(marked)) == 12 and marked.counts.checks.checks["difficulty_high"].marked == 8
    assert len(ids(step(folder, difficulty_high=1))) == 12
    harder = step(folder, difficulty_low=0.1, difficulty_high=1)
    assert harder.counts.by_reason == {Reason.TOO_HARD: 4} and len(ids(harder)) == 8
    assert sum(student.asked.values()) == 12  # other thresholds ask nothing again
    step(folder, difficulty="mark", robust=True)
    assert sum(student.asked.values()) == 36 and len(student.asked) == 24


def test_a_blind_student_sees_no_image(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    student = loads(monkeypatch, Sees())
    result = step(folder, student_blind=True)
    assert student.images == {(127, 127, 127)} and len(ids(result)) == 12
    assert result.counts.checks.difficulty.blind


def test_a_killed_run_asks_nothing_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = loads(monkeypatch, Sees())
    expected = step(folder).output.read_bytes()
    progress = folder / "student_answers.jsonl"
    progress.unlink()
    (folder / "out.json").unlink()
    first, second = Sees(most=7), Sees()
    loads(monkeypatch, first)
    with pytest.raises(KeyboardInterrupt):
        step(folder)
    assert not (folder / "out.json").exists() and len(first.asked) == 6
    progress.write_bytes(progress.read_bytes()[:-10])  # killed in the middle of a line
    loads(monkeypatch, second)
    assert step(folder).output.read_bytes() == expected
    # of four batches of three the torn one is asked once more, the one before is not
    assert len(second.asked) == 9 and first.asked | second.asked == whole.asked


def test_what_neither_student_nor_readers_find_is_reviewed_first(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reader says red of every picture, as the student does."""
    loads(monkeypatch, Sees())
    names = {number: f"{number}.png" for number in range(12)}
    pool = coco(folder / "coco", names, [annotation(0, [1, 1, 5, 5])], dict.fromkeys(names, "A red thing."))

    def says_red(messages: list[dict[str, Any]], schema: dict[str, Any] | None = None) -> str:
        prompt = str(messages[-1]["content"])
        letter = prompt[prompt.index(") red") - 1]
        return f'{{"answer": "{letter}"}}'

    with serve(says_red, structured=says_red) as server:
        options = {
            "difficulty": "mark", "second_reader": "openai:a", "second_answer": "mark", "coco_dataset": pool,
            "box_check": "off", "base_url": server.base_url,
        }  # fmt: skip
        marked = step(folder, **options)
        assert marked.counts.checks.checks["both_wrong"].marked == 4 and len(ids(marked)) == 12
        queue = reviewer(marked).items
        assert [(item.name, item.doubt) for item in queue[:4]] == [(f"q{n}", 2.0) for n in (0, 3, 6, 9)]
        dropped = step(folder, both_wrong="drop", **options)
        assert dropped.counts.by_reason == {Reason.BOTH_WRONG: 4} and len(server.requests) == 12


def test_an_image_that_cannot_be_read_is_a_warning(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loads(monkeypatch, Sees())
    (folder / "0.png").unlink()
    (folder / "1.png").write_bytes(b"no image")
    result = step(folder)
    assert ids(result) == ["q0", "q1", "q3", "q6", "q9"]  # what cannot be asked is not judged
    (warning,) = [one for one in result.warnings if one.startswith("difficulty")]
    assert warning.startswith("difficulty: 2 questions got no answer of the student; first: ")
    records = read_json(result.output, list[TrainRecord])
    assert [one.student_answer is None for one in records] == [True, True, False, False, False]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"student": ""}, r"difficulty: asks a student that is loaded here \(given: none\)"),
        ({"student": "api:x"}, r"difficulty: asks a student that is loaded here \(given: api:x\)"),
        ({"image_root": None}, "difficulty: the student needs the images; give image_root"),
        ({"difficulty_low": 0.95}, "difficulty_low 0.95 is above difficulty_high 0.75"),
        ({"workers": 0}, "workers must be 1 or more, or ray"),
    ],
)
def test_settings_that_cannot_work(folder: Path, given: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        step(folder, **given)
