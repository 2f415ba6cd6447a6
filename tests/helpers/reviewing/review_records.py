"""Records and rejects for the tests of the Reviewer."""

from dataengine_lib.core.records import TrainRecord
from dataengine_lib.curation.candidates import Reject

EVIL = "<img src=x onerror='window.ran=1'><script>window.ran=1</script>"


def record(number: int, **fields: object) -> TrainRecord:
    """The kept record q-NUMBER: a multiple-choice question whose right choice is elm."""
    known = {
        "image_id": number,
        "raw_instructions": "",
        "question_type": "ocr",
        "question": f"What is {number}?",
        "choices": ["oak", "elm", "fir", "yew"],
        "correct_choice_idx": 1,
        "rationales": ["It is."],
        "record_id": f"q-{number}",
    }
    return TrainRecord(**(known | fields))


def reject(name: str, reason: str, **fields: object) -> Reject:
    """A dropped QA."""
    known = {
        "line": 1,
        "reason": reason,
        "record_id": name,
        "question_type": "ocr",
        "raw_instructions": "Question: ?",
    }
    return Reject(**(known | fields))
