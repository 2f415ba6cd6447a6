"""Questions that can be answered without the image are found where they are planted, nowhere else, and dropped."""

import time
from pathlib import Path
from random import Random

import msgspec
import pytest
from made_records import photo_records, planted_records
from project import COCO_MINI

from dataengine_lib.annotations.teacher import AnnotationsTeacher
from dataengine_lib.core.records import TrainRecord
from dataengine_lib.curation.blind_classifier import solve_blind
from dataengine_lib.curation.counts import BlindFigure, blind_reader_figures

COLORS = ["red", "blue", "green", "yellow", "pink", "white", "black", "brown"]
THINGS = ["ball", "hat", "car", "kite", "cup", "door", "shoe", "boat"]


def record(rng: Random, image: int, likes: float = 0.0, kind: str = "color") -> TrainRecord:
    """A question about a colour; with probability `likes` it is the one at its thing's index in the list."""
    thing = rng.randrange(len(THINGS))
    color = COLORS[thing] if rng.random() < likes else rng.choice(COLORS)
    choices = [color, *rng.sample([other for other in COLORS if other != color], 3)]
    rng.shuffle(choices)
    return TrainRecord(
        image_id=image,
        raw_instructions="",
        question_type=kind,
        question=f"What color is the {THINGS[thing]}?",
        choices=choices,
        correct_choice_idx=choices.index(color),
    )


def fair(count: int, seed: int = 0) -> list[TrainRecord]:
    rng = Random(seed)
    return [record(rng, image) for image in range(count)]


def show(name: str, figure: BlindFigure) -> None:
    print(
        f"{name}: {figure.accuracy:.1%} of {figure.total} found blind ({figure.low:.1%} to {figure.high:.1%}), "
        f"chance {figure.chance:.1%}"
    )


def test_questions_that_need_the_picture_are_found_as_often_as_by_guessing() -> None:
    figures = [solve_blind(fair(600, seed)).figures.all for seed in range(5)]
    assert sum(figure.at_chance for figure in figures) >= 4
    assert abs(sum(figure.accuracy for figure in figures) / 5 - 0.25) < 0.02


@pytest.mark.parametrize("shortcut", ["answer follows the thing", "letter", "length", "word of the question"])
def test_shortcuts_are_found(shortcut: str) -> None:
    rng = Random(1)
    records = [
        record(rng, image, likes=0.6 * (shortcut == "answer follows the thing")) for image in range(600)
    ]
    for one in records[::2]:
        place = one.correct_choice_idx
        if shortcut == "letter":
            one.choices[place], one.choices[1] = one.choices[1], one.choices[place]
            one.correct_choice_idx = 1
        elif shortcut == "length":
            one.choices[place] += " with a narrow stripe"
            one.choices[(place + 1) % 4] += " and a spot"
        elif shortcut == "word of the question":
            one.question = f"{one.question[:-1]}, which is not quite {one.choices[place]}?"
    solved = solve_blind(records)
    figure = solved.figures.all
    show(shortcut, figure)
    assert figure.accuracy > 0.45 and figure.low > figure.chance
    assert solved.after == solved.figures and all(solved.kept)
    sure = sum(solved.scores[::2]) / 300
    if shortcut != "answer follows the thing":
        assert sure > sum(solved.scores[1::2]) / 300


def test_what_is_learned_of_an_image_is_not_tested_on_it() -> None:
    """The answers of every image are revealed by a word that no other image has."""
    rng = Random(2)
    records = []
    for image in range(100):
        own = record(rng, image)
        own.question = f"What color is thing{image}?"
        records += [msgspec.structs.replace(own) for _ in range(6)]
    assert solve_blind(records).figures.all.accuracy < 0.4


def test_filtering_stops_at_chance_and_keeps_the_rest() -> None:
    rng = Random(3)
    easy = [record(rng, image, likes=0.9, kind="easy") for image in range(300)]
    records = easy + [record(rng, image, kind="fair") for image in range(300, 900)]
    solved = solve_blind(records, drop=True)
    show("before", solved.figures.all)
    show("after", solved.after.all)
    kept = [one for one, stays in zip(records, solved.kept, strict=True) if stays]
    assert not solved.figures.all.at_chance and solved.after.all.at_chance
    assert len(kept) == solved.after.all.total >= 600
    assert sum(one.question_type == "fair" for one in kept) >= 0.9 * 600
    afterwards = solve_blind(kept, seed=12345).figures.all  # with partitions that the filtering did not use
    assert afterwards.at_chance
    assert solved == solve_blind(records, drop=True)
    assert solve_blind(fair(600), drop=True).kept.count(False) <= 20


def test_figures_by_type_and_of_a_blind_reader() -> None:
    rng = Random(4)
    records = [record(rng, image, kind="ab"[image % 2]) for image in range(100)]
    right = [one.correct_choice_idx for one in records]
    answers = [right[i] if i % 2 else -1 for i in range(100)]
    figures = blind_reader_figures(records, [(one,) for one in [None, None, *answers[2:]]])
    assert (figures.by_type["b"].accuracy, figures.by_type["a"].accuracy) == (1.0, 0.0)
    assert figures.by_type["a"].total == 49 and figures.by_type["a"].chance == 0.25
    assert figures.all.accuracy == 0.5 and not figures.all.at_chance
    assert solve_blind(records).figures.by_type.keys() == {"a", "b"}


def test_choices_may_be_fewer_and_one_image_says_nothing() -> None:
    records = fair(200)
    for one in records[::2]:
        wrong = next(i for i in range(4) if i != one.correct_choice_idx)
        one.correct_choice_idx -= wrong < one.correct_choice_idx
        del one.choices[wrong]
    chance = solve_blind(records).figures.all.chance
    assert chance == pytest.approx((1 / 3 + 1 / 4) / 2, abs=1e-4)
    assert solve_blind(fair(1)) is None and solve_blind([]) is None


def test_the_playground_falls_to_chance(tmp_path: Path) -> None:
    records = planted_records(tmp_path, images=300, share=0.0, per_image=9).records
    started = time.perf_counter()
    solved = solve_blind(records, drop=True)
    show("playground before", solved.figures.all)
    show(f"playground after, in {time.perf_counter() - started:.0f} s", solved.after.all)
    assert not solved.figures.all.at_chance and solved.after.all.at_chance
    assert solved.after.all.total >= 0.7 * len(records)


@pytest.mark.skipif(not COCO_MINI.exists(), reason="../shared/coco_mini, 80 photos of COCO, is not here")
def test_the_photos_figure_is_shown_and_falls_to_chance() -> None:
    teacher = AnnotationsTeacher(COCO_MINI)
    records = photo_records(teacher)
    solved = solve_blind(records, drop=True)
    show("photos before", solved.figures.all)
    show("photos after", solved.after.all)
    for name, figure in solved.figures.by_type.items():
        show(f"  {name}", figure)
    assert solved.figures.all.low > solved.figures.all.chance
    assert solved.after.all.at_chance
