"""Training records that teachers wrote: of the playground, with wrong answers planted, and of COCO photos."""

import re
from dataclasses import dataclass
from pathlib import Path
from random import Random

from dataengine_lib.annotations.teacher import WRITERS_BY_TYPE, AnnotationsTeacher
from dataengine_lib.core.records import Query, TrainRecord
from dataengine_lib.curation.candidates import Candidate
from dataengine_lib.curation.choice_mentions import choice_mentions
from dataengine_lib.images.pool import ImagePool
from dataengine_lib.images.read_pool import read_pool
from dataengine_lib.playground.questions import QUESTION_WRITERS
from dataengine_lib.playground.sets import write_playground
from dataengine_lib.playground.teacher import reply
from dataengine_lib.queries.prompt import load_template
from dataengine_lib.replies.drop_reasons import Reason
from dataengine_lib.replies.parse import parse_reply

_CHOICE = re.compile(r"\(([A-D])\) (.*?)(?= \([A-D]\) |$)")


@dataclass
class Planted:
    """`wrong[i]`: whether a wrong answer was planted in `records[i]`."""

    pool: ImagePool
    records: list[TrainRecord]
    wrong: list[bool]


def candidate_of(record: TrainRecord, written_idx: int, line: int = 1) -> Candidate:
    """As parsing makes one."""
    mentions = choice_mentions(record.question, record.choices, record.rationales, record.answer_kind)
    return Candidate(line, record, written_idx, mentions)


def plant(text: str, rng: Random) -> str:
    """A reply whose answer line names another of its choices, letter and text."""
    choices = _CHOICE.findall(re.search(r"^Choices: (.+)$", text, re.M)[1])
    right = re.search(r"^Answer: The answer is \(([A-D])\)", text, re.M)[1]
    letter, choice = rng.choice([one for one in choices if one[0] != right])
    return re.sub(r"^Answer: .+$", f"Answer: The answer is ({letter}): {choice}.", text, flags=re.M)


def planted_records(
    cache: Path, images: int, share: float = 0.15, per_image: int = 18, seed: int = 0
) -> Planted:
    """What the scripted teacher writes about a playground pool of so many images, up to `per_image` types per image."""
    folder = write_playground(cache, sizes={"base": 0, "pool": images, "diagnose": 1, "holdout": 1})
    pool = read_pool(folder / "pool")
    template = load_template("v1")
    rng = Random(f"planted {seed}")
    found = Planted(pool, [], [])
    for image in pool:
        for kind in rng.sample(list(QUESTION_WRITERS), per_image):
            prompt = template.render(kind, "", [], image)
            text = reply([{"role": "user", "content": prompt}])
            if isinstance(parse_reply(text), Reason):
                continue
            wrong = rng.random() < share
            text = plant(text, rng) if wrong else text
            (qa,) = parse_reply(text)
            found.wrong.append(wrong)
            found.records.append(
                TrainRecord(
                    image_id=image.id,
                    image_path=image.path,
                    raw_instructions=text,
                    question_type=kind,
                    question=qa.question,
                    choices=qa.choices,
                    correct_choice_idx=qa.correct_choice_idx,
                    rationales=qa.rationales,
                    query_id=f"{image.id}-{kind}",
                )
            )
    return found


def photo_records(teacher: AnnotationsTeacher) -> list[TrainRecord]:
    """Its QAs as training records."""
    records = []
    for image_id in teacher.pool.ids.tolist():
        for kind in WRITERS_BY_TYPE:
            query = Query(image_id=image_id, prompt="", question_type=kind, query_id=f"{image_id} {kind}")
            parsed = parse_reply(teacher.write(query))
            for qa in [] if isinstance(parsed, Reason) else parsed:
                fields = {
                    "question": qa.question,
                    "choices": qa.choices,
                    "correct_choice_idx": qa.correct_choice_idx,
                }
                records.append(
                    TrainRecord(image_id=image_id, raw_instructions="", question_type=kind, **fields)
                )
    return records
