"""calculation.py of MME and evaluate.py of POPE, written anew from their description."""

from collections import defaultdict
from collections.abc import Sequence

COGNITION = ("commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning")


def official_mme(
    rows: Sequence[tuple[str, str, str]],
) -> tuple[dict[str, tuple[float, float, float]], dict[str, float]]:
    """Of rows (task, right answer, written text), two in turn about an image: by task accuracy, accuracy+ and score, and
    the sums of the scores of perception and cognition."""
    lines = defaultdict(list)
    for task, right, text in rows:
        answer = text.lower()
        if answer not in ("yes", "no"):
            answer = "yes" if "yes" in answer[:4] else "no" if "no" in answer[:4] else "other"
        lines[task].append((right.lower(), answer))
    tasks = {}
    for name, task in lines.items():
        pairs = [task[n : n + 2] for n in range(0, len(task), 2)]
        accuracy = sum(truth == given for truth, given in task) / len(task)
        plus = sum(all(truth == given for truth, given in pair) for pair in pairs) / len(pairs)
        tasks[name] = (accuracy, plus, accuracy * 100 + plus * 100)
    groups = defaultdict(float)
    for name, (_, _, score) in tasks.items():
        groups["cognition" if name in COGNITION else "perception"] += score
    return tasks, dict(groups)


def official_pope(rows: Sequence[tuple[str, str]]) -> dict[str, float]:
    """Of rows (label, written text): the first sentence without commas; No, not or no as a word of it is no, else yes."""
    given, truth = [], []
    for label, text in rows:
        if text.find(".") != -1:
            text = text.split(".")[0]
        words = text.replace(",", "").split(" ")
        given.append(0 if "No" in words or "not" in words or "no" in words else 1)
        truth.append(0 if label == "no" else 1)
    both = list(zip(given, truth, strict=True))
    tp, fp, tn, fn = (both.count(pair) for pair in ((1, 1), (1, 0), (0, 0), (0, 1)))
    precision, recall = tp / (tp + fp), tp / (tp + fn)
    return {
        "accuracy": (tp + tn) / len(both),
        "precision": precision,
        "recall": recall,
        "f1": 2 * precision * recall / (precision + recall),
        "yes_rate": given.count(1) / len(given),
    }
