"""Times how step 4 finds evaluation questions that 20,000 records ask nearly too, among 20,000; all of them are found.

Run by `make bench`. Beside comparing every pair (scaled from a few), the two best known packages for MinHash, where they
are installed: they give candidates, which may miss a pair and are not compared here.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1]))

from table.results import Row, installed, not_installed, peer_version, write_result

from dataengine_lib.core.records import Answer
from dataengine_lib.questions.similarity import NearQuestions, Shingles

RECORDS, QUESTIONS, THRESHOLD = 20_000, 20_000, 0.8
BANDS, ROWS = 25, 5  # miss one in a thousand pairs at the threshold
SAMPLE = 20  # records that are compared with every question
AT_LEAST = 100.0  # times comparing every pair


def made(
    count: int, rng: Random, words: list[str], weights: list[float], known: list[Answer]
) -> list[Answer]:
    """Questions of 5 to 24 words, as frequent as those of a language; one in ten is a known one with a word changed."""

    def text(number: int) -> str:
        return " ".join(rng.choices(words, weights, k=number))

    found = []
    for _ in range(count):
        question, choices = text(rng.randint(5, 24)), [text(rng.randint(1, 3)) for _ in range(4)]
        if known and rng.random() < 0.1:
            other = rng.choice(known)
            changed = other.question.split()
            changed[rng.randrange(len(changed))] = rng.choice(words)
            question, choices = " ".join(changed), other.choices
        found.append(Answer(question=question, choices=choices, correct_choice_idx=0))
    return found


def shingles(one: Answer) -> list[str]:
    text = Shingles(one)
    return ["q".join(pair) for pair in text.question] + ["c".join(pair) for pair in text.choices]


def with_rensa(questions: list[Answer], records: list[Answer]) -> int:
    from rensa import RMinHash, RMinHashLSH

    index = RMinHashLSH(THRESHOLD, BANDS * ROWS, BANDS)

    def sketch(one: Answer) -> Any:
        found = RMinHash(BANDS * ROWS, 1)
        found.update(shingles(one))
        return found

    for place, one in enumerate(questions):
        index.insert(place, sketch(one))
    return sum(len(index.query(sketch(one))) for one in records)


def with_datasketch(questions: list[Answer], records: list[Answer]) -> int:
    from datasketch import MinHash, MinHashLSH

    index = MinHashLSH(num_perm=BANDS * ROWS, params=(BANDS, ROWS))

    def sketches(rows: list[Answer]) -> Any:
        return MinHash.generator(
            [[one.encode() for one in shingles(row)] for row in rows], num_perm=BANDS * ROWS
        )

    for place, sketch in enumerate(sketches(questions)):
        index.insert(place, sketch, check_duplication=False)
    return sum(len(index.query(sketch)) for sketch in sketches(records))


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Processor seconds, and what came out."""
    began = time.process_time()
    found = work()
    return time.process_time() - began, found


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    rng, words = Random(3), [f"w{number}" for number in range(4_000)]
    weights = [1 / (number + 3) for number in range(len(words))]
    questions = made(QUESTIONS, rng, words, weights, [])
    records = made(RECORDS, rng, words, weights, questions)
    took, near = timed(lambda: list(NearQuestions(questions, THRESHOLD).near(records)))
    texts = [Shingles(one) for one in questions]
    for text in texts:
        text.question, text.choices  # noqa: B018  # made before the clock starts

    def every_pair() -> list[list[int]]:
        def alike(one: frozenset[Any], other: frozenset[Any]) -> bool:
            return len(one & other) >= THRESHOLD * len(one | other)

        return [
            [
                n
                for n, other in enumerate(texts)
                if alike(one.question, other.question) and alike(one.choices, other.choices)
            ]
            for one in map(Shingles, records[:SAMPLE])
        ]

    slow, expected = timed(every_pair)
    slow *= RECORDS / SAMPLE
    peers = []
    for package, run in (("rensa", with_rensa), ("datasketch", with_datasketch)):
        if installed(package):
            seconds, candidates = timed(lambda: run(questions, records))  # noqa: B023
            peers.append(
                f"{peer_version(package)}: {seconds:.2f} s of processor for {candidates:,} candidates"
            )
        else:
            peers.append(not_installed(package, "see tests/benchmarks/packages.txt"))
    pairs = sum(map(len, near))
    print(
        f"{RECORDS:,} records among {QUESTIONS:,} questions: {took:.2f} s of processor, {pairs:,} pairs; every pair "
        f"compared: {slow:,.0f} s (scaled from {SAMPLE} records), {slow / took:,.0f} times; {'; '.join(peers)}"
    )
    write_result("near_questions_speed", [
        Row(f"step 4 finds which of {RECORDS:,} records ask nearly one of {QUESTIONS:,} questions, missing none",
            f"at least {AT_LEAST:.0f} times every pair", f"{took:.2f} s of processor, {pairs:,} pairs",
            f"every pair compared: {slow:,.0f} s (scaled from {SAMPLE}), {slow / took:,.0f} times ours", "; ".join(peers))
    ])  # fmt: skip
    if near[:SAMPLE] != expected or slow / took < AT_LEAST:
        sys.exit(
            f"pairs differ from those of comparing every pair, or it is less than {AT_LEAST:.0f} times as fast"
        )


if __name__ == "__main__":
    main()
