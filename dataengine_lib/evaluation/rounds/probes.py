"""Step 6: is a gain also there without the picture, and what was forgotten on the panel's sets?"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np

from dataengine_lib.core.records import ANSWERS_FILE, Answer
from dataengine_lib.core.significance.sign_flip import holm
from dataengine_lib.core.statistics import Gain, PairedGains, in_points
from dataengine_lib.errors import DataEngineError
from dataengine_lib.evaluation.paired.scores import answer_scores, mean_with_ends
from dataengine_lib.evaluation.rounds.comparison import type_gains
from dataengine_lib.evaluation.rounds.evaluation_file import Warn, usable_answers
from dataengine_lib.evaluation.rounds.figures import (
    BlindComparison,
    BlindGain,
    GainVerdict,
    PanelComparison,
    Seeing,
)
from dataengine_lib.evaluation.rounds.pairs import PairedAnswers, pair_answers
from dataengine_lib.evaluation.rounds.summary import left_out_warnings
from dataengine_lib.evaluation.rounds.verdicts import verdict_of


def compare_blind(
    sighted: Sequence[Sequence[Answer]],
    files: Sequence[Path],
    blind_files: Sequence[Path],
    split: str,
    max_bad_share: float,
    seed: int,
    warn: Warn,
) -> BlindComparison:
    """First and last of `sighted`, whose files are `files`, with those of `blind_files`, in pairs of all four.

    Rows and questions that are left out go to `warn`.
    Raises DataEngineError when a file cannot be read or no question is in all of them.
    """
    blind = [usable_answers(file, max_bad_share, warn) for file in (blind_files[0], blind_files[-1])]
    of_files = [files[0], files[-1], blind_files[0], blind_files[-1]]
    pairs = _paired([sighted[0], sighted[-1], *blind], of_files, split, warn)
    scores = [answer_scores(one) for one in pairs.rounds]
    with_image, without = scores[1] - scores[0], scores[3] - scores[2]
    types, images = pairs.types, pairs.images
    seen = type_gains(with_image, types, images, [], seed)
    unseen = type_gains(without, types, images, [], seed)
    # a difference of differences lies in [-2, 2], the intervals are made for [-1, 1]
    half = type_gains((with_image - without) / 2, types, images, [], seed)
    return BlindComparison(
        questions=len(types),
        overall=_blind_gain(seen.overall, unseen.overall, half.overall),
        by_type={
            kind: _blind_gain(seen.by_type[kind], unseen.by_type[kind], half.by_type[kind])
            for kind in seen.by_type
        },
    )


def _blind_gain(sighted: GainVerdict, blind: GainVerdict, half: GainVerdict) -> BlindGain:
    gain = half.gain
    doubled = msgspec.structs.replace(gain, gain=2 * gain.gain, low=2 * gain.low, high=2 * gain.high)
    excess = GainVerdict(gain=doubled, p_value=half.p_value, p_holm=half.p_holm, verdict=half.verdict)
    return BlindGain(sighted=sighted, blind=blind, excess=excess, seeing=_seeing(sighted, blind, excess))


def _seeing(sighted: GainVerdict, blind: GainVerdict, excess: GainVerdict) -> Seeing:
    if sighted.verdict != "gain":
        return ""
    if blind.verdict == "gain":
        return "in part there blind" if excess.verdict == "gain" else "also there blind"
    return "by seeing" if excess.verdict == "gain" else "cannot tell"


def compare_panel(
    folders: Sequence[Path], max_bad_share: float, seed: int, warn: Warn
) -> dict[str, PanelComparison]:
    """Every set that the first and the last of the evaluations' panel folders hold, with Holm's correction over sets.

    Rows, questions and sets that are left out go to `warn`.
    Raises DataEngineError when a file cannot be read or no question of a set is in both.
    """
    first, last = (panel_sets(folder) for folder in (folders[0], folders[-1]))
    names = [name for name in first if name in last]
    pairs = {name: paired_set([first[name], last[name]], max_bad_share, warn) for name in names}
    for there, missing in ((folders[0], folders[-1]), (folders[-1], folders[0])):
        for name in sorted(panel_sets(there).keys() - panel_sets(missing).keys()):
            warn(f"panel set {name} is in {there} and not in {missing}, so it is not compared")
    gains = {
        name: PairedGains({name: np.ones(len(one.images), dtype=bool)}, _change(one), one.images, seed=seed)
        for name, one in pairs.items()
    }
    p_values = {name: one.p_value([name]) for name, one in gains.items()}
    corrected = holm(p_values)
    return {
        name: _panel_comparison(one, gains[name].gain(name), p_values[name], corrected[name], len(pairs))
        for name, one in pairs.items()
    }


def _panel_comparison(
    pairs: PairedAnswers, gain: Gain, p_value: float, p_holm: float, family: int
) -> PanelComparison:
    before, after = pairs.rounds
    verdict = verdict_of(gain.gain, p_holm, gain.images, family)
    return PanelComparison(
        questions=gain.questions,
        images=gain.images,
        before=mean_with_ends(answer_scores(before), pairs.images),
        after=mean_with_ends(answer_scores(after), pairs.images),
        gain=GainVerdict(gain=gain, p_value=p_value, p_holm=p_holm, verdict=verdict),
        fixed=sum(new.correct and not old.correct for old, new in zip(before, after, strict=True)),
        broken=sum(old.correct and not new.correct for old, new in zip(before, after, strict=True)),
    )


def _change(pairs: PairedAnswers) -> np.ndarray:
    return answer_scores(pairs.rounds[1]) - answer_scores(pairs.rounds[0])


def panel_sets(folder: Path) -> Mapping[str, Path]:
    """The answers' file of every set in an evaluation's panel folder, by the set's name."""
    return {file.parent.name: file for file in sorted(folder.glob(f"*/{ANSWERS_FILE}"))}


def paired_set(files: Sequence[Path], max_bad_share: float, warn: Warn) -> PairedAnswers:
    """The answers in the `files` of one set, in pairs; every question counts, whatever its split.

    Rows and questions that are left out go to `warn`.
    Raises DataEngineError when a file cannot be read, or no question is in all of them.
    """
    return _paired([usable_answers(file, max_bad_share, warn) for file in files], files, "all", warn)


def _paired(
    evaluations: Sequence[Sequence[Answer]], files: Sequence[Path], split: str, warn: Warn
) -> PairedAnswers:
    pairs = pair_answers(evaluations, files, split)
    for line in left_out_warnings(pairs.left_out):
        warn(line)
    return pairs


def all_there(files: Sequence[Path], what: str) -> bool:
    """Whether the first and the last evaluation have `what`; without either it was off. A folder has to hold a set.

    Raises DataEngineError where only one has it, since there is nothing to compare it with.
    """
    if not files:
        return False
    there = [bool(panel_sets(path)) if path.is_dir() else path.exists() for path in (files[0], files[-1])]
    if there[0] != there[1]:
        missing = files[0] if there[1] else files[-1]
        raise DataEngineError(
            f"{missing} is missing, so {what} of the first and the last evaluation cannot be compared; evaluate both "
            "with the same parameters"
        )
    return there[0]


def blind_gain_sentence(compared: BlindComparison) -> str:
    """Which real gains are also there without the picture."""
    gains = {"overall": compared.overall, **compared.by_type}
    shows = [f"{kind} ({one.seeing})" for kind, one in gains.items() if one.seeing]
    blind = compared.overall.blind.gain
    text = (
        f"Without the picture, accuracy on the same questions changed by {in_points(blind.gain)} points "
        f"({in_points(blind.low)} to {in_points(blind.high)})"
    )
    if not shows:
        return f"{text}; there is no real gain to look at."
    return (
        f"{text}. Real gains: {', '.join(shows)}. "
        "A gain that also appears without the picture does not come from seeing."
    )


def panel_sentence(compared: Mapping[str, PanelComparison]) -> str:
    """Which sets of the panel were forgotten, after Holm's correction over them."""
    lost = [_named(name, one) for name, one in compared.items() if one.gain.verdict == "loss"]
    unclear = [name for name, one in compared.items() if one.gain.verdict in ("unclear", "too few")]
    text = f"Of {len(compared)} panel set{'' if len(compared) == 1 else 's'}, "
    text += f"forgotten: {', '.join(lost)}" if lost else "none has fallen beyond chance (Holm)"
    return f"{text}; not distinguishable from chance: {', '.join(unclear)}." if unclear else f"{text}."


def _named(name: str, one: PanelComparison) -> str:
    gain = one.gain.gain
    return f"{name} {in_points(gain.gain)} [{in_points(gain.low)}, {in_points(gain.high)}]"
