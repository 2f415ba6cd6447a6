"""Bad cases that ask nearly the same become one: which ones do, which one stays, and that it stays so."""

import subprocess
import sys
from itertools import combinations
from random import Random

import pytest
from near_questions import CHOICES, case, pool

from dataengine_lib.core.records import Answer
from dataengine_lib.questions.similarity import NearQuestions, Shingles, reduce_pool

LONG = "what is the man in the red shirt on the left side of the picture holding in his right hand today"


def similarity(one: Answer, other: Answer) -> float:
    """The rule in the plain: the lower of the two Jaccard similarities."""
    texts = [Shingles(record) for record in (one, other)]
    return min(
        len(a & b) / len(a | b) if a or b else 1.0
        for a, b in (
            (texts[0].question, texts[1].question),
            (texts[0].choices, texts[1].choices),
        )
    )


@pytest.mark.parametrize(
    "other",
    [
        case("what is the man   holding"),
        case("WHAT is the man holding ?"),
        case("What is the man holding?", CHOICES[::-1]),
        case("What is the man holding?", ["A bat.", "a ball", "a phone", "a cup"]),
        case("Ｗhat is the man holding？"),  # full-width letters
    ],
    ids=["spaces", "case", "order of choices", "full stop", "full width"],
)
def test_the_same_question_written_otherwise_is_one(other: Answer) -> None:
    found = reduce_pool([case("What is the man holding?"), other], 1.0)
    assert len(found.kept) == len(found.dropped) == 1
    assert found.dropped[0].representative is found.kept[0] and found.dropped[0].similarity == 1.0


@pytest.mark.parametrize(
    "other",
    [
        case("What is the man holding?", ["red", "blue", "green", "white"]),
        case("What is the man holding?", ["a bat", "a ball", "a phone", "a spoon"]),
        case("What is the woman holding?"),
        case("What is the man wearing?"),
        case("What is the man holding?", kind="other type"),
    ],
    ids=["choices", "one choice", "subject", "verb", "type"],
)
def test_another_question_stays(other: Answer) -> None:
    assert len(reduce_pool([case("What is the man holding?"), other]).kept) == 2


def test_a_word_in_a_long_question_makes_no_difference() -> None:
    first, second = case(LONG), case(LONG.replace("today", "now"))
    assert 0.8 <= similarity(first, second) < 1
    found = reduce_pool([first, second], 0.8)
    assert [drop.similarity for drop in found.dropped] == [round(similarity(first, second), 4)]
    assert len(reduce_pool([first, second], 1.0).kept) == 2


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("这个男人手里拿着什么东西在街上走路的时候看起来很高兴吗", "这个女人手里拿着什么"),
        ("ผู้ชายคนนี้กำลังถืออะไรอยู่", "ผู้หญิงคนนี้กำลังทำอะไร"),
        ("その男の人は手に何を持っていますか", "その女の人は何を見ていますか"),
        ("यह आदमी क्या पकड़े हुए है?", "यह औरत क्या देख रही है?"),
        ("ماذا يحمل الرجل؟", "ماذا ترتدي المرأة؟"),
        ("그 남자는 무엇을 들고 있나요?", "그 여자는 무엇을 보고 있나요?"),
        ("+ - ?", "× ÷ ?"),
        ("🐱?", "🐶?"),
    ],
)
def test_any_script(one: str, other: str) -> None:
    assert len(reduce_pool([case(one, key="1"), case(one, key="2"), case(other)]).kept) == 2


def test_scripts_without_spaces_are_compared_by_character() -> None:
    text = "这个穿着红色衣服的男人在照片左边的街上手里拿着的那个东西到底是什么呢"
    first, second = case(text), case(text.replace("呢", "吗"))
    assert 0.8 <= similarity(first, second) < 1
    assert len(reduce_pool([first, second]).kept) == 1


def test_signs_are_choices_too() -> None:
    one, other = ["+", "-", "*", "?"], ["<", ">", "=", "!"]
    assert len(reduce_pool([case("Which sign is it?", one), case("Which sign is it?", other)]).kept) == 2
    assert (
        len(reduce_pool([case("Which ends it?", ["?", "!"]), case("Which ends it?", [".", ","])]).kept) == 2
    )
    assert len(reduce_pool([case("How many?", ["-1", "2.5"]), case("How many?", ["1", "25"])]).kept) == 2


@pytest.mark.parametrize("threshold", [0.5, 0.8, 0.95])
@pytest.mark.parametrize("seed", [0, 1])
def test_every_dropped_one_is_near_its_representative_and_no_two_kept_ones_are_near(
    threshold: float, seed: int
) -> None:
    rows = pool(seed)
    found = reduce_pool(rows, threshold, seed)
    assert 0 < len(found.dropped) < len(rows) == len(found.kept) + len(found.dropped)
    kept = {id(record) for record in found.kept}
    for drop in found.dropped:
        assert (
            id(drop.representative) in kept and drop.record.question_type == drop.representative.question_type
        )
        assert threshold <= similarity(drop.record, drop.representative)
        assert drop.similarity == round(similarity(drop.record, drop.representative), 4)
    for one, other in combinations(found.kept, 2):
        assert one.question_type != other.question_type or similarity(one, other) < threshold


def test_what_stays_is_in_the_order_it_came_in() -> None:
    rows = pool(2)
    found = reduce_pool(rows)
    places = {id(record): place for place, record in enumerate(rows)}
    for part in (found.kept, [drop.record for drop in found.dropped]):
        assert [places[id(record)] for record in part] == sorted(places[id(record)] for record in part)


def test_the_same_seed_keeps_the_same_whatever_the_order_and_the_copies() -> None:
    rows = pool(3)
    kept = {record.question_id for record in reduce_pool(rows, seed=5).kept}
    assert kept == {record.question_id for record in reduce_pool(rows[::-1], seed=5).kept}
    copied = reduce_pool([*rows, *rows[40:90], rows[0]], seed=5)
    assert {record.question_id for record in copied.kept} == kept and len(copied.kept) == len(kept)
    assert kept != {record.question_id for record in reduce_pool(rows, seed=6).kept}


def test_every_copy_can_be_the_one_that_stays() -> None:
    rows = [case("What is it?", key=str(i), image=i) for i in range(4)]
    drawn = [reduce_pool(rows, seed=seed).kept[0].image_id for seed in range(60)]
    assert set(drawn) == {0, 1, 2, 3} and max(map(drawn.count, drawn)) < 35


def test_the_order_of_hashes_in_python_does_not_matter() -> None:
    script = (
        "from near_questions import pool\n"
        "from dataengine_lib.questions.similarity import reduce_pool\n"
        "found = reduce_pool(pool(4), 0.6, 1)\n"
        "print([r.question_id for r in found.kept], [d.representative.question_id for d in found.dropped])"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={"PYTHONHASHSEED": seed, "PATH": "", "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(printed) == 1 and len(printed.pop()) > 100


def test_nothing_and_everything() -> None:
    assert reduce_pool([]).kept == []
    rows = [case("What is it?", key=str(i)) for i in range(3)]
    assert reduce_pool(rows, 0).kept == rows
    assert len(reduce_pool(rows, 1.0).kept) == 1
    empty = Answer(question="", choices=[], correct_choice_idx=0)
    assert len(reduce_pool([empty, empty]).kept) == 1


@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.8, 1.0])
def test_the_index_finds_all_that_comparing_every_pair_finds(threshold: float) -> None:
    """Short and long texts, whose keys differ in kind, and questions without choices; some changed in a word or two."""
    rng, words = Random(int(threshold * 10)), [f"w{number}" for number in range(40)]
    rows: list[Answer] = []
    for number in range(240):
        if number % 2:
            question, choices = rows[-1].question.split(), list(rows[-1].choices)
            for _ in range(rng.randrange(3)):
                question[rng.randrange(len(question))] = rng.choice(words)
            rng.shuffle(choices)
        else:
            question = rng.choices(words, k=rng.choice([3, 8, 40]))
            choices = [
                " ".join(rng.choices(words, k=rng.choice([1, 2, 25]))) for _ in range(rng.choice([0, 4]))
            ]
        rows.append(Answer(question=" ".join(question), choices=choices, correct_choice_idx=0))
    asked = rows[::3]
    expected = [
        [place for place, row in enumerate(rows) if similarity(one, row) >= threshold] for one in asked
    ]
    assert list(NearQuestions(rows, threshold).near(asked)) == expected
    assert sum(map(len, expected)) > len(asked) + 5  # each finds itself, and some find their changed copy
