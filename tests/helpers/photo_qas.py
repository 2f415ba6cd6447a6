"""What the annotations teacher writes about COCO photos: one query per image and question type."""

from dataengine_lib.annotations.teacher import WRITERS_BY_TYPE, AnnotationsTeacher
from dataengine_lib.core.records import Query, TrainRecord
from dataengine_lib.replies.drop_reasons import Reason
from dataengine_lib.replies.parse import parse_reply


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
