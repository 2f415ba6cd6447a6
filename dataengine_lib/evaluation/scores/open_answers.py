"""Step 1: the score of one answer to an open-ended question, by the rule of the data set that it is from."""

import string
from collections.abc import Sequence
from typing import Literal

from dataengine_lib.core.text import one_line
from dataengine_lib.evaluation.scores.vqa_text import vqa_key, without_punctuation
from dataengine_lib.images.references import base_name

OpenRule = Literal["VQA accuracy", "VizWiz accuracy", "exact match"]
# people who have to agree for an answer to be right; with fewer others than that none could be
_AGREE = 3
_VIZWIZ = "VizWiz_"  # beginning of its images' published names
_NO_MARKS = str.maketrans("", "", string.punctuation)
_DECIMALS = 6  # so that the mean over many questions is the script's to its two decimals of a percent


def open_rule(accepted: Sequence[str], image_path: str) -> OpenRule:
    """VQA accuracy from four accepted answers on, in VizWiz's own form for its images; else exact match.

    `image_path` is that of the image's file, which a question may name by its id alone.
    """
    if len(accepted) <= _AGREE:
        return "exact match"
    return "VizWiz accuracy" if base_name(image_path).startswith(_VIZWIZ) else "VQA accuracy"


def open_score(given: str, accepted: Sequence[str], image_path: str) -> float:
    """The score of `given` in [0, 1] by `open_rule`; an answer without a word scores 0."""
    rule = open_rule(accepted, image_path)
    if not given.strip():
        return 0.0
    if rule == "exact match":
        return exact_match(given, accepted)
    return vqa_accuracy(given, accepted, as_vizwiz=rule == "VizWiz accuracy")


def vqa_accuracy(given: str, answers: Sequence[str], *, as_vizwiz: bool = False) -> float:
    """The mean over the people of min(1, how many of the others gave this answer / 3).

    The given answer is normalised. Of the people's, marks are removed where they are not all the same; VizWiz's script
    compares them as they are, so that `unanswerable` is an answer like any other.
    Source: vqaEval.py of GT-Vision-Lab/VQA; vqaEval.py of VizWiz's evaluation.
    """
    if not as_vizwiz and len(set(answers)) > 1:
        answers = [without_punctuation(answer) for answer in answers]
    key = vqa_key(given)
    matches = sum(answer == key for answer in answers)
    # a person whose answer it is has one match fewer among the others
    mine, others = min(1.0, (matches - 1) / _AGREE), min(1.0, matches / _AGREE)
    total = matches * mine + (len(answers) - matches) * others
    return round(total / len(answers), _DECIMALS)


def exact_match(given: str, answers: Sequence[str]) -> float:
    """1 where the given answer is an accepted one, without case and punctuation.

    Source: `exact_match` with ignore_case and ignore_punctuation, by which lmms-eval scores GQA; GQA's own eval.py
    compares answers that are in this form already.
    """
    return float(any(exact_key(given) == exact_key(answer) for answer in answers))


def exact_key(text: str) -> str:
    """Without case, punctuation and repeated white space: `T-Shirt.` is `tshirt`."""
    return one_line(text.lower().translate(_NO_MARKS))
