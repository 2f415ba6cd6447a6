"""The rounds in a folder that is opened for exploring (all steps): a run's, one round's, or that of a single step."""

import re
from pathlib import Path
from typing import NamedTuple

from dataengine_lib.core.text import first_named
from dataengine_lib.errors import DataEngineError
from dataengine_lib.runs.lineage import round_folders

_EVALUATION, _EVALUATION_AFTER = "aokvqa_eval.json", "aokvqa_eval_after.json"  # the second one is data_demo's
_FILES = (
    _EVALUATION, "bad_case_aokvqa_classified.json", "weight.json", "gptvqa_prompt.json", "gptvqa_result.jsonl",
    "gptvqa_failed.jsonl", "gptvqa_train_data.json", "rejects.jsonl",
)  # fmt: skip
_STARTED = ("run.json",)  # of a run that has written nothing else yet
_ROUND = re.compile(r"round([0-9]{1,6})")


class OpenedRound(NamedTuple):
    """One round: its number, its evaluation, and the folder of its other files.

    `name` is the folder's below the run's, empty for the opened folder itself. `evaluated` is the evaluation as step 6
    names it. `folder` is None where there is an evaluation only.
    """

    number: int
    name: str
    evaluated: str
    evaluation: Path
    folder: Path | None


def opened_rounds(folder: Path) -> list[OpenedRound]:
    """The rounds of a run in their order, the last evaluation too; one round for any other folder of the steps' files.

    No round where a run has just begun. Raises DataEngineError when it is no folder, or none of a run or a step.
    """
    _, *rounds = round_folders(folder)  # the first is the folder itself
    if rounds:
        numbers = [int(place.name[5:]) for place in rounds]
        places = list(zip(numbers, rounds, strict=True))
        if (folder / "final").is_dir():
            places.append((numbers[-1] + 1, folder / "final"))
        return [_round(number, place.name, place) for number, place in places]
    if any((folder / name).is_file() for name in _FILES):
        return _single_folder(folder)
    if any((folder / name).is_file() for name in _STARTED):
        return []
    raise DataEngineError(_wrong_folder(folder))


def _round(number: int, name: str, folder: Path) -> OpenedRound:
    return OpenedRound(number, name, _evaluated(number - 1), folder / _EVALUATION, folder)


def _evaluated(trained: int) -> str:
    """How step 6 names the evaluation of a student that was trained in so many rounds."""
    return f"after round {trained}" if trained > 0 else "before"


def _single_folder(folder: Path) -> list[OpenedRound]:
    """One round of a run, or the files of single steps, which are round 0."""
    place = folder.resolve()
    if found := _ROUND.fullmatch(place.name):
        return [_round(int(found[1]), "", folder)]
    if place.name == "final" and (others := round_folders(place.parent)[1:]):
        return [_round(int(others[-1].name[5:]) + 1, "", folder)]
    rounds = [OpenedRound(0, "", _evaluated(0), folder / _EVALUATION, folder)]
    if (folder / _EVALUATION_AFTER).is_file():
        rounds.append(OpenedRound(1, "", _evaluated(1), folder / _EVALUATION_AFTER, None))
    return rounds


def _wrong_folder(folder: Path) -> str:
    """What the folder is, and which folder to give instead."""
    for pattern in ("*", "*/*"):  # the runs of a study lie below its arms
        runs = [
            str(place.relative_to(folder)) for place in sorted(folder.glob(pattern)) if _is_openable(place)
        ]
        if runs:
            named = f"holds some ({first_named(runs)}); give one, such as {folder / runs[0]}"
            return f"{folder}: is not a run, but {named}"
    return f"{folder}: holds no file that a step writes ({_FILES[0]}, …); give the folder of a run, such as reports/demo"


def _is_openable(place: Path) -> bool:
    return any((place / name).is_file() for name in (*_FILES, *_STARTED)) or (place / "round1").is_dir()
