"""Records that give away evaluation sets and near-duplicates are found; common questions are neither."""

import json
from itertools import pairwise
from pathlib import Path
from random import Random

import msgspec
import numpy as np
import pytest
from PIL import Image, ImageOps

from dataengine_lib.core.records import TrainRecord
from dataengine_lib.curation.image_copies import ImageCopies
from dataengine_lib.curation.leaks import EVALUATION_QUESTION, EvaluationSet, SetImages, image_key
from dataengine_lib.curation.near_duplicates import NearDuplicates, NearImages
from dataengine_lib.embeddings.store import StoredImage, StoreMeta, write_store
from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.images.copies import COPY
from dataengine_lib.images.references import ImageRef
from dataengine_lib.questions.evaluation_images import EVALUATION_IMAGE, NEAR_DUPLICATE
from dataengine_lib.questions.similarity import NearQuestions

CHOICES = ["a red ball", "a long rope", "an old shoe", "a paper plane"]
QUESTION = "What does the dog beside the green bench carry in its mouth today?"


def record(
    question: str = QUESTION,
    answer: int = 0,
    image_id: int = 1,
    path: str | None = None,
    choices: list[str] = CHOICES,
) -> TrainRecord:
    return TrainRecord(
        image_id=image_id,
        image_path=f"train2017/{image_id:012d}.jpg" if path is None else path,
        raw_instructions="",
        question_type="t",
        question=question,
        choices=choices,
        correct_choice_idx=answer,
    )


def question_file(root: Path, rows: list[dict]) -> Path:
    usual = {"choices": CHOICES, "correct_choice_idx": 0, "direct_answers": ["ball"], "split": "val"}
    file = root / "questions.json"
    file.write_text(json.dumps([{**usual, "question_id": str(n), **row} for n, row in enumerate(rows)]))
    return file


@pytest.fixture
def evaluation(tmp_path: Path) -> EvaluationSet:
    rows = [
        {"image_id": 50, "question": QUESTION},
        *({"image_id": 60 + n, "question": "What color is the car in the picture?"} for n in range(3)),
        {"image_id": 70, "question": ""},  # not usable as a question, but its image counts
    ]
    return EvaluationSet([question_file(tmp_path, rows)])


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, EVALUATION_QUESTION),
        (
            {"question": "what does the dog beside the green bench carry in its mouth today"},
            EVALUATION_QUESTION,
        ),
        (
            {"choices": [CHOICES[2], *CHOICES[1::2], CHOICES[0]], "answer": 3},
            EVALUATION_QUESTION,
        ),  # other order
        ({"answer": 1}, ""),  # about another image, in which the dog carries something else
        ({"choices": ["a ball", "a rope", "a shoe", "a plane"]}, ""),
        ({"question": "What does the cat on the roof watch?"}, ""),
        ({"question": "What color is the car in the picture?"}, ""),  # asked about three images
        ({"image_id": 50, "question": "What time is it?"}, EVALUATION_IMAGE),
        ({"image_id": 70, "question": "What time is it?"}, EVALUATION_IMAGE),
        ({"path": "other/000000000050.jpg", "question": "What time is it?"}, EVALUATION_IMAGE),
        ({"path": "other/50.jpg", "image_id": 50, "question": "What time is it?"}, ""),  # no name of COCO's
        ({"path": "", "image_id": 50, "question": "What time is it?"}, EVALUATION_IMAGE),
        ({"image_id": 8, "question": "What time is it?"}, NEAR_DUPLICATE),
    ],
)
def test_leaks(evaluation: EvaluationSet, changes: dict, expected: str) -> None:
    assert list(evaluation.leaks([record(**changes)], near={8})) == [expected]


@pytest.mark.parametrize("others_answered", [False, True])
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, EVALUATION_QUESTION),
        ({"answer": 1}, EVALUATION_QUESTION),  # which answer is right is not known
        ({"choices": [CHOICES[2], *CHOICES[1::2], CHOICES[0]], "answer": 2}, EVALUATION_QUESTION),
        ({"choices": ["a ball", "a rope", "a shoe", "a plane"]}, ""),
        ({"question": "What does the cat on the roof watch?"}, ""),
        ({"question": "What color is the car in the picture?"}, ""),  # asked about three images
        ({"image_id": 50, "question": "What time is it?"}, EVALUATION_IMAGE),
    ],
)
def test_questions_of_a_test_split_without_answers_leak(
    tmp_path: Path, changes: dict, expected: str, others_answered: bool
) -> None:
    secret = {"correct_choice_idx": None, "direct_answers": None, "split": "test"}
    rows = [
        {"image_id": 50, "question": QUESTION, **secret},
        *(
            {"image_id": 60 + n, "question": "What color is the car in the picture?", **secret}
            for n in range(3)
        ),
    ]
    rows += [{"image_id": 90, "question": "Is this one answered by the file?"}] * others_answered
    found = EvaluationSet([question_file(tmp_path, rows)])
    assert list(found.leaks([record(**changes)])) == [expected]


def test_copies_of_evaluation_images_leak(tmp_path: Path) -> None:
    """By what the images show, below any names; an image that is not there is not compared."""
    scored, trained = tmp_path / "scored", tmp_path / "trained"
    scored.mkdir()
    trained.mkdir()
    rng = np.random.default_rng(3)
    images = [
        Image.fromarray(rng.integers(0, 255, (12, 16, 3), dtype=np.uint8)).resize((96, 72)) for _ in range(3)
    ]
    images[0].save(scored / "a.png")
    images[1].save(scored / "b.png")
    ImageOps.mirror(images[0]).save(trained / "x.jpg")
    images[1].save(trained / "y.webp", quality=60)
    images[2].save(trained / "z.jpg")
    rows = [
        {"image_id": n, "image_path": name, "question": QUESTION} for n, name in enumerate(("a.png", "b.png"))
    ]
    evaluation = EvaluationSet([question_file(tmp_path, rows)], scored)
    copies = ImageCopies(evaluation.sets, trained)
    records = [
        record("Who?", image_id=10 + n, path=name)
        for n, name in enumerate(("x.jpg", "y.webp", "z.jpg", "w.jpg"))
    ]
    assert list(evaluation.leaks(records, trained, is_copy=copies.has)) == [COPY, COPY, "", ""]
    assert (copies.compared, copies.not_found) == (2, 0)


def test_a_wrong_folder_of_evaluation_images_is_an_error(tmp_path: Path) -> None:
    """Else the check would be off without a word."""
    with pytest.raises(
        ParameterError, match="none of 2 evaluation images is there; correct evaluation_image_root"
    ):
        refs = [ImageRef(1, "a.png"), ImageRef(2, "b.png")]
        ImageCopies([SetImages(tmp_path, refs, "evaluation_image_root")], tmp_path)


def test_questions_may_be_left_out(tmp_path: Path) -> None:
    pictures_only = EvaluationSet(
        [question_file(tmp_path, [{"image_id": 50, "question": QUESTION}])], threshold=0
    )
    assert list(pictures_only.leaks([record(), record(image_id=50)])) == ["", EVALUATION_IMAGE]


def test_leaks_come_in_order_also_with_many_records(evaluation: EvaluationSet) -> None:
    rng = Random(0)
    records = [
        record()
        if n % 7 == 0
        else record(" ".join(rng.choices("abcdefghij", k=9)) + f" {n}?", image_id=100 + n)
        for n in range(2500)
    ]
    found = list(evaluation.leaks(iter(records)))
    assert [bool(leak) for leak in found] == [n % 7 == 0 for n in range(2500)]


def test_paths_mean_the_same_picture_below_one_root_only(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    link = tmp_path / "link"
    one.mkdir()
    link.symlink_to(one)
    assert image_key(1, "images/a.jpg", one) == image_key(2, "images/../images/a.jpg", link)
    assert image_key(1, "images/a.jpg", one) != image_key(1, "images/a.jpg", other)
    assert image_key(1, "a/COCO_val2014_000000000007.jpg", one) == image_key(7, "", None) == 7


def test_near_questions_are_those_that_comparing_all_pairs_finds() -> None:
    rng = Random(1)
    words = [f"w{i}" for i in range(60)]
    kept = [record(" ".join(rng.choices(words, k=20))) for _ in range(100)]
    asked = []
    for one in kept:
        changed = one.question.split()
        for _ in range(rng.randint(0, 3)):
            changed[rng.randrange(20)] = rng.choice(words)
        asked.append(record(" ".join(changed)))

    def shingles(text: str) -> set:
        parts = ["", *text.split(), ""]
        return set(pairwise(parts))

    def alike(a: str, b: str) -> bool:
        one, other = shingles(a), shingles(b)
        return len(one & other) / len(one | other) >= 0.8

    expected = [[n for n, other in enumerate(kept) if alike(one.question, other.question)] for one in asked]
    assert list(NearQuestions(kept, 0.8).near(iter(asked))) == expected
    assert 20 < sum(map(bool, expected)) < 100


LONG = "what does the man in the blue shirt on the left side of the wide street hold in his raised hand"


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (record(LONG.upper() + " ?"), True),
        (record(LONG, answer=2), True),  # the same words: a repeat, or one of the answers is wrong
        (record(LONG, choices=["a red ball", "w", "x", "y"]), True),
        (record(LONG.replace("blue", "navy")), True),
        (record(LONG.replace("blue", "navy"), answer=1), False),  # another man
        (record(LONG.replace("blue shirt", "hat")), False),
        (record(LONG, image_id=2), False),
        (record(LONG, image_id=3), True),  # near-duplicate picture
    ],
)
def test_near_duplicates(other: TrainRecord, same: bool) -> None:
    known = NearDuplicates(near_images={3: [1, 9]})
    assert known.find(other) == ""
    known.add(record(LONG), "round1-17")
    known.add(msgspec.structs.replace(record(LONG), image_id=77), "another")
    assert known.find(other) == ("round1-17" if same else "")


def store(root: Path, vectors: np.ndarray, first: int) -> None:
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    ids = np.arange(first, first + len(vectors))
    write_store(root, StoreMeta(encoder="any"), ids, unit, [StoredImage()] * len(vectors))


def test_near_images(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(40, 32))
    vectors[7] = vectors[3] + 0.01 * rng.normal(size=32)
    vectors[20] = vectors[3]
    store(tmp_path / "s", vectors, first=100)
    store(tmp_path / "s" / "evaluation", np.concatenate([rng.normal(size=(5, 32)), vectors[[11]]]), first=1)
    near = NearImages(tmp_path / "s", 0.98)
    assert near.near_evaluation(range(200)) == {111}
    assert near.near_evaluation([110, 112]) == set()
    pairs = near.pairs(range(200))
    assert {key: set(value) for key, value in pairs.items()} == {
        103: {107, 120}, 107: {103, 120}, 120: {103, 107},
    }  # fmt: skip
    assert near.pairs([103, 104]) == near.pairs([103]) == near.pairs([]) == {}
    with pytest.raises(DataEngineError, match="no embedding store"):
        NearImages(tmp_path)
