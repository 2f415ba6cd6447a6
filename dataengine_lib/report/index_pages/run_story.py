"""What became of a whole run, round by round (all steps), from files that are read in little time."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from dataengine_lib.core.files import read_json
from dataengine_lib.errors import DataEngineError
from dataengine_lib.evaluation.rounds.figures import Figures
from dataengine_lib.queries.spares import ASKED_SPARES_FILE
from dataengine_lib.report.run_file import ShownRun, ShownStep
from dataengine_lib.report.type_pages.figures import TypeRound, TypeStory

_PREFERRED = ("holdout", "diagnose", "all")  # splits, the one that shows what was learned before the others
_TRAIN_LOG = "train_log.json"
_BLOCK = 1 << 20  # bytes that are read at a time


class _Score(msgspec.Struct):
    total: int = 0
    accuracy: float | None = None
    low: float | None = None
    high: float | None = None


class _Split(msgspec.Struct):
    overall: _Score = msgspec.field(default_factory=_Score)


class _Metrics(msgspec.Struct):
    splits: dict[str, _Split] = {}


class _Sampled(msgspec.Struct):
    filled: int = 0


class _Usage(msgspec.Struct):
    cost_usd: float | None = None


class _TypeCount(msgspec.Struct):
    kept: int = 0
    dropped: int = 0


class KeptCounts(_TypeCount):
    """`post_process.json` as the index pages read it."""

    by_type: dict[str, _TypeCount] = {}


class _TrainLog(msgspec.Struct):
    by_type: dict[str, dict[str, int]] = {}


def run_story(run: ShownRun, folder: Path, figures: Figures | None) -> TypeStory:
    """The run's figures over all question types, as far as its steps have written them; `figures` are those of step 6.

    Accuracies are of the split that `figures` compare, else of holdout. What was fixed and broken is by the evaluation
    after each round against the one before it, on that split.
    """
    rounds: dict[int, TypeRound] = {}
    last = max((_number(step) or 0 for step in run.steps), default=0)
    for step in run.steps:
        number = _number(step)
        # the evaluation after the last round has a folder of its own
        after = step.label.startswith("final/")
        if number is None and not after:
            continue
        key = last + 1 if number is None else number
        one = rounds.setdefault(key, _unknown(key, after))
        split = figures.split if figures else ""
        for output in step.outputs:
            read = _READERS.get(_name(output))
            for name, value in read(folder / output, split).items() if read else ():
                # the spare queries that were asked are queries as well
                setattr(one, name, value if name != "queries" else value + (one.queries or 0))
    for number, change in enumerate(_changes(figures), 1):
        if number in rounds:
            rounds[number].fixed, rounds[number].broken = change
    return TypeStory("all question types", [rounds[number] for number in sorted(rounds)])


def kept_counts(run: ShownRun, folder: Path) -> list[KeptCounts]:
    """What step 4 kept and dropped, by question type, in each round of which its file can be read."""
    files = (output for step in run.steps for output in step.outputs if _name(output) == "post_process.json")
    found = (_content(folder / file, KeptCounts) for file in files)
    return [one for one in found if one is not None]


def _number(step: ShownStep) -> int | None:
    """The round of `round1/4_post_process`; None for a step outside of the rounds."""
    place = re.fullmatch(r"round(\d{1,6})", step.label.rpartition("/")[0])
    return int(place[1]) if place else None


def _unknown(number: int, after: bool) -> TypeRound:
    """A round without figures yet."""
    counts: dict[str, Any] = dict.fromkeys(("bad_cases", "queries", "replies", "kept", "dropped"))
    return TypeRound(number, **counts, after=after)


def _accuracy(file: Path, split: str) -> dict[str, Any]:
    metrics = _content(file, _Metrics)
    scores = metrics.splits if metrics else {}
    for name in (split, *_PREFERRED):
        if name in scores and (score := scores[name].overall).total:
            return {
                "questions": score.total,
                "accuracy": score.accuracy,
                "low": score.low,
                "high": score.high,
            }
    return {}


def _bad_cases(file: Path, _: str) -> dict[str, Any]:
    cases = _content(file, dict[str, list[msgspec.Raw]])
    return {} if cases is None else {"bad_cases": sum(map(len, cases.values()))}


def _sampled(file: Path, _: str) -> dict[str, Any]:
    types = _content(file, dict[str, _Sampled])
    return {} if types is None else {"queries": sum(one.filled for one in types.values())}


def _asked_spares(file: Path, _: str) -> dict[str, Any]:
    asked = _content(file, list[msgspec.Raw])
    return {} if asked is None else {"queries": len(asked)}


def _replies(file: Path, _: str) -> dict[str, Any]:
    try:
        with file.open("rb") as stream:
            return {"replies": sum(block.count(b"\n") for block in iter(lambda: stream.read(_BLOCK), b""))}
    except OSError:  # removed since
        return {}


def _cost(file: Path, _: str) -> dict[str, Any]:
    usage = _content(file, _Usage)
    return {} if usage is None else {"cost_usd": usage.cost_usd}


def _kept(file: Path, _: str) -> dict[str, Any]:
    counts = _content(file, KeptCounts)
    return {} if counts is None else {"kept": counts.kept, "dropped": counts.dropped}


def _trained(folder: Path, _: str) -> dict[str, Any]:
    # in a study, checkpoints are dropped and their logs stay
    places = (folder / _TRAIN_LOG, folder.parent / _TRAIN_LOG)
    log = next((found for place in places if (found := _content(place, _TrainLog)) is not None), None)
    return {} if log is None else {"trained": sum(drawn.get("new", 0) for drawn in log.by_type.values())}


# what the outputs of a step are named, and what is read from them
_READERS: dict[str, Callable[[Path, str], dict[str, Any]]] = {
    "metrics.json": _accuracy,
    "bad_case_aokvqa_classified.json": _bad_cases,
    "sampling.json": _sampled,
    ASKED_SPARES_FILE: _asked_spares,
    "gptvqa_result.jsonl": _replies,
    "usage.json": _cost,
    "post_process.json": _kept,
    "checkpoint": _trained,
}


def _changes(figures: Figures | None) -> Iterator[tuple[int, int]]:
    """Questions fixed and broken by each evaluation after the first, against the one before it."""
    if figures is None:
        return
    named = {(one.before, one.after): one.overall for one in figures.comparisons}
    for before, after in zip(figures.rounds, figures.rounds[1:], strict=False):
        if found := named.get((before.name, after.name)):
            yield found.fixed, found.broken


def _name(output: str) -> str:
    return output.rpartition("/")[2]


def _content(file: Path, kind: Any) -> Any:
    """The content of a small file; None where it is not there or of another version."""
    try:
        return read_json(file, kind)
    except (DataEngineError, OSError):
        return None
