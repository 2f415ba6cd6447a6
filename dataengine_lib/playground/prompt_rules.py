"""The playground's teacher and the rules of a prompt: what it gets wrong where no rule is against it, and better rules.

A script follows no instruction of its own accord, so four faults are written in: each appears in a part of the QAs of a
prompt whose rules do not speak against it. Rules are proposed from the marks of a request alone, by their words.
"""

import json
import re
from collections.abc import Callable
from random import Random
from typing import Any

# Matches the list of a prompt of step 2: "Rules:", numbered lines, an empty line.
_RULES = re.compile(r"^Rules:\n((?:.+\n)+)", re.M)
# The heading of the request for a better list; `teachers/prompt_rules/prompts.py` has it too.
REVISION_HEADING = "Rules to revise:"
_FAULTY_SHARE = 0.4  # of the QAs, for each fault that no rule is against
_MOST_CHANGES = 2  # rules that one proposal adds


def _marked(qa: dict[str, Any]) -> None:
    if "choices" in qa:
        place = "ABCDEFGHIJ".index(qa["answer"])
        qa["choices"][place] += " (correct)"


def _equal(qa: dict[str, Any]) -> None:
    if "choices" in qa:
        wrong = [place for place in range(len(qa["choices"])) if place != "ABCDEFGHIJ".index(qa["answer"])]
        qa["choices"][wrong[-1]] = qa["choices"][wrong[0]]


def _with_box(qa: dict[str, Any]) -> None:
    qa["explanation"] += " Its coordinates are [0.120, 0.300, 0.410, 0.560]."


def _of_description(qa: dict[str, Any]) -> None:
    qa["explanation"] += " The description says so."


# What a rule against the fault says, and what the fault does to a QA where no rule says so.
_FAULTS: tuple[tuple[re.Pattern[str], Callable[[dict[str, Any]], None]], ...] = (
    (re.compile(r"no hint of its answer"), _marked),
    (re.compile(r"exactly one is right|all different"), _equal),
    (re.compile(r"\bcoordinates\b"), _with_box),
    (re.compile(r"\bdescriptions?\b"), _of_description),
)
# Words of a mark, and the rule that a writer would draw from it.
_LESSONS = (
    ("marked as right", "The question and its choices give no hint of its answer."),
    ("equal choices", "The choices are all different, and exactly one is right."),
    ("coordinates", "Never write about boxes or coordinates, and use no numbers of places."),
    ("description", "Never mention captions or descriptions: the reader only has the picture."),
)


def apply_rules(prompt: str, qa: dict[str, Any]) -> dict[str, Any]:
    """`qa` with the faults that the rules of `prompt` do not forbid; as it is where the prompt has no list of rules."""
    listed = _RULES.search(prompt)
    if listed is None:
        return qa
    rules = listed[1].casefold()
    for number, (against, spoil) in enumerate(_FAULTS):
        # a generator of its own, so that nothing else that is drawn depends on the rules
        if not against.search(rules) and Random(f"{number} {prompt}").random() < _FAULTY_SHARE:
            spoil(qa)
    return qa


def revised_rules(prompt: str) -> dict[str, Any]:
    """`{"rules", "why"}`: the request's rules, and new ones against its most frequent marks whose words it knows."""
    rows = [
        json.loads(line) for line in prompt.partition(REVISION_HEADING)[2].splitlines() if line[:1] == "{"
    ]
    rules = [row["text"] for row in rows if "rule" in row]
    marks = sorted((row for row in rows if "wrong" in row), key=lambda row: -row["times"])
    lessons = [rule for mark in marks for words, rule in _LESSONS if words in mark["wrong"]]
    added = [rule for rule in dict.fromkeys(lessons) if rule not in rules][:_MOST_CHANGES]
    why = f"Added against the marks: {' '.join(added)}" if added else "No mark that the script knows."
    return {"rules": [*rules, *added], "why": why}
