"""Bad cases with nearly the same question, for step 1's reduction and step 4's checks."""

from random import Random

from dataengine_lib.core.records import Answer

CHOICES = ["a bat", "a ball", "a phone", "a cup"]


def case(
    question: str, choices: list[str] | None = None, kind: str = "t", key: str = "", image: int = 0
) -> Answer:
    return Answer(
        question=question,
        choices=choices or CHOICES,
        correct_choice_idx=0,
        question_type=kind,
        question_id=key or f"{question} {choices}",
        image_id=image,
    )


def pool(seed: int, size: int = 250) -> list[Answer]:
    """Long questions, many of which are another one with up to four words replaced."""
    rng = Random(seed)
    words = [f"w{i}" for i in range(400)]
    questions = [[rng.choice(words) for _ in range(rng.randint(4, 40))] for _ in range(size // 5)]
    rows = []
    for number in range(size):
        question = list(rng.choice(questions))
        for _ in range(rng.randint(0, 4)):
            question[rng.randrange(len(question))] = rng.choice(words)
        rows.append(case(" ".join(question), kind=rng.choice("ab"), key=str(number)))
    return rows
