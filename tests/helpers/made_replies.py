"""Made-up teachers' replies in many layouts and with many faults, for step 4's benchmark and its fuzzer."""

from random import Random

ADJECTIVES = ["brown", "small", "old", "wooden", "striped", "empty", "bright", "folded", "wet", "round"]
NOUNS = [
    "dog",
    "umbrella",
    "bicycle",
    "bench",
    "kite",
    "suitcase",
    "cow",
    "boat",
    "clock",
    "sand castle",
    "cup",
]
ASKED = [
    "Which thing is next to the {}?",
    "What is the {} most likely used for?",
    "What stands behind the {}?",
]
HEADINGS = [
    "Explanation",
    "Reason",
    "Reasoning",
    "Lecture",
    "Explanatory note",
    "Explaination",
    "Explanations",
]
MARKS = ["({})", "({})", "({})", "{})", "{}.", "[{}]"]
TYPES = [f"type_{number:02}" for number in range(18)]
BECAUSE = [
    "It stands beside the {} and nothing else does.",
    "Looking at the picture, we can see that the {} is close to it, which rules out the others.",
    "One can tell by the shape: a {} has no such handle.",
    "The answer is ({}) as the shadow on the sand shows an island of light around it.",
    "People use a {} on a day like this, when 1,000 others are on the road.",
]


def box(rng: Random) -> str:
    """`[x1, y1, x2, y2]` as prompts show it."""
    return str([round(rng.random(), 3) for _ in range(4)])


def reply(rng: Random) -> str:
    """A reply in one of the layouts that are read; about one in three has a fault."""
    nouns = rng.sample(NOUNS, 4)
    choices = [f"{rng.choice(ADJECTIVES)} {noun}" for noun in nouns]
    right, letters = rng.randrange(4), rng.choice(["ABCD", "ABCD", "ABCD", "abcd"])
    question = rng.choice(ASKED).format(f"{rng.choice(ADJECTIVES)} {rng.choice(NOUNS)}")
    because = " ".join(rng.sample(BECAUSE, rng.randint(1, 3)))
    because = because.replace("({})", f"({letters[right]})").replace("{}", nouns[right])
    said, letter = choices[right], letters[right]
    fault = rng.randrange(36)
    if fault == 0:
        return rng.choice(["Skip", "Question: Skip\nChoices: Skip\nAnswer: Skip", "I cannot see a picture."])
    if fault == 1:
        choices[(right + 1) % 4] = choices[right]
    elif fault == 2:
        said = choices[(right + 1) % 4]
    elif fault == 3:
        choices[rng.randrange(4)] = ""
    elif fault == 4:
        letter = "E"
    elif fault == 5:
        because += f" It is located at {box(rng)}."
    elif fault == 6:
        because += " The description says so."
    elif fault == 7:
        because += " Its bounding box is the largest."
    elif fault == 8:
        choices = [f"{nouns[0]} {box(rng)}" for _ in nouns]
        said = choices[right]
    elif fault in (9, 10, 11):
        because += f" The {nouns[right]} {box(rng)} is near the cell phone {box(rng)}."
    elif fault == 12:
        because = ""
    mark = rng.choice(MARKS)
    between = rng.choice([" ", " ", "\n", ", " if mark.startswith(("(", "[")) else "\n"])
    options = between.join(
        f"{mark.format(name)} {choice}" for name, choice in zip(letters, choices, strict=True)
    )
    lead = rng.choice([" ", " ", "\n"])
    answer = rng.choice(["The answer is ({}): {}.", "The answer is ({}): {}.", "({}) {}", "{}", "{}. {}"])
    heads = ["Question:", "Choices:", "Answer:", f"{rng.choice(HEADINGS)}:"]
    if rng.randrange(8) == 0:
        heads = [f"**{head}**" for head in heads]
    text = f"{heads[0]} {question}\n{heads[1]}{lead}{options}\n{heads[2]} {answer.format(letter, said)}"
    return f"{text}\n{heads[3]} {because}" if because else text


def row(rng: Random, number: int) -> dict[str, object]:
    """A row of `gptvqa_result.jsonl` as step 3 writes it; one in fifty holds two QAs, one in a hundred is cut off."""
    text = reply(rng)
    if rng.randrange(50) == 0:
        text += "\n\n" + reply(rng)
    return {
        "image_id": rng.randrange(120_000),
        "raw_instructions": text,
        "question_type": rng.choice(TYPES),
        "query_id": f"r{number % 3}-{number:016x}",
        "image_path": f"train2017/{number:012d}.jpg",
        "model": "teacher",
        "finish_reason": "length" if rng.randrange(100) == 0 else "stop",
        "prompt_tokens": 900,
        "cached_tokens": 0,
        "completion_tokens": 90,
        "request_key": f"{rng.getrandbits(256):064x}",
        "template": "v1.j2",
        "prompt_sha256": f"{rng.getrandbits(256):064x}",
        "example_ids": [f"bad-{rng.getrandbits(64):016x}", f"bad-{rng.getrandbits(64):016x}"],
        "round": 1,
    }
