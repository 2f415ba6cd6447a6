"""After step 4: what MLLM-DataEngine v1's loader drops in silence, or ends with an error for.

Source: AOKVQADataset in minigpt4/datasets/datasets/vqa_dataset.py, and BaseTask.build_datasets in minigpt4/tasks.
"""

from dataengine_lib.core.records import OPEN, Question

LOADER_FORMATS = ("Q-A", "QM-A", "QM-AE", "mmbench")  # the text formats that it knows
_MOST_CHOICES = 7  # its letters end at G
_DROPPED_WORD = "description"  # it drops rows whose first rationale holds this word
_VALIDATION = "val"  # of a data set with this in its name it asks for a validation split
# names that its image_text_pair_builder.py registers
_OWN_NAMES = ("aokvqa", "aokvqa_val", "cc_sbu_align", "gptvqa_round1", "gptvqa_round2")


def loader_fault(question: Question, text_format: str = "") -> str:
    """Why the loader cannot read a row, as a kind to count by; empty when it can."""
    if question.answer_kind == OPEN:
        return "open-ended questions, which have no choices"
    if len(question.choices) > _MOST_CHOICES:
        return f"more than {_MOST_CHOICES} choices, for which MiniGPT-4's loader has no letters"
    if text_format == "QM-AE" and loader_rationales(question) == [""]:
        return f'no rationale without the word "{_DROPPED_WORD}", for which the loader drops rows'
    return ""


def loader_rationales(question: Question) -> list[str]:
    """The rationales that the loader accepts, at least an empty one: it reads the first of every row.

    Those with "description" in them are left out: for a first one the loader would drop the row.
    """
    return [text for text in question.rationales if _DROPPED_WORD not in text] or [""]


def loses_rationales(question: Question) -> bool:
    """Whether `loader_rationales` leaves some out."""
    return any(_DROPPED_WORD in text for text in question.rationales)


def name_fault(name: str) -> str:
    """Why MiniGPT-4 cannot have a data set of this name; empty when it can."""
    if _VALIDATION in name:
        return (
            f"{name!r} holds {_VALIDATION!r}, by which MiniGPT-4 tells validation data; give another --name"
        )
    if name in _OWN_NAMES:
        return (
            f"{name!r} is a data set that MLLM-DataEngine's MiniGPT-4 registers itself; give another --name"
        )
    return ""
