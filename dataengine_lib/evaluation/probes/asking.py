"""Step 1: asks the student what the probes need, after the evaluation itself and with the same loaded student."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dataengine_lib.core.bad_rows import BadRows
from dataengine_lib.core.files import write_json
from dataengine_lib.core.records import ANSWERS_FILE, Answer
from dataengine_lib.errors import DataEngineError
from dataengine_lib.evaluation.answers import StudentAnswer, answer_records
from dataengine_lib.evaluation.probes.blind import BlindScores, blind_scores
from dataengine_lib.evaluation.probes.contamination import (
    Contamination,
    ProbedAnswer,
    changed_questions,
    contamination,
    orders_to_rank,
)
from dataengine_lib.evaluation.probes.panel import PanelScore, PanelTasks, panel_score
from dataengine_lib.evaluation.questioner import AskOptions
from dataengine_lib.evaluation.student_answers import Asked, StudentSource
from dataengine_lib.evaluation.tasks import Task

BLIND_FILE, CONTAMINATION_FILE, PANEL_FOLDER = "blind_eval.json", "contamination.json", "panel"


@dataclass(frozen=True)
class ProbeSettings:
    """Which probes are asked; `seed` is of the orders that are drawn, and of the bootstrap."""

    blind: bool
    contamination: bool
    panel: Mapping[str, PanelTasks]
    seed: int


@dataclass
class Probes:
    """What the probes found, with all rows; empty where a probe is off. `panel` is by the sets' names."""

    blind: dict[str, BlindScores] = field(default_factory=dict)
    blind_answers: list[Answer] = field(default_factory=list)
    contamination: Contamination | None = None
    changed_answers: list[ProbedAnswer] = field(default_factory=list)
    panel: dict[str, PanelScore] = field(default_factory=dict)
    panel_answers: dict[str, list[Answer]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def write(self, folder: Path) -> dict[str, Path]:
        """The rows, as files below `folder`; paths by file name. Of a probe that is off, an older file is removed.

        Step 6 would take it for one of this student otherwise.
        """
        paths = {}
        sets = list(folder.glob(f"{PANEL_FOLDER}/*/{ANSWERS_FILE}"))
        for old in [folder / BLIND_FILE, folder / CONTAMINATION_FILE, *sets]:
            old.unlink(missing_ok=True)
        # the folders too: an empty one looks like a panel that was measured
        for left in [*(rows.parent for rows in sets), folder / PANEL_FOLDER]:
            if left.is_dir() and not left.is_symlink() and not any(left.iterdir()):
                left.rmdir()
        if self.blind_answers:
            paths[BLIND_FILE] = write_json(folder / BLIND_FILE, self.blind_answers)
        if self.contamination is not None:
            rows = {"scores": self.contamination, "answers": self.changed_answers}
            paths[CONTAMINATION_FILE] = write_json(folder / CONTAMINATION_FILE, rows)
        for name, answers in self.panel_answers.items():
            file = f"{PANEL_FOLDER}/{name}/{ANSWERS_FILE}"
            paths[file] = write_json(folder / file, answers)
        return paths


def ask_probes(
    source: StudentSource, wanted: ProbeSettings, tasks: Sequence[Task], answers: Sequence[Answer]
) -> Probes:
    """Ask everything that `wanted` needs; `answers` are those to `tasks` as they are.

    Rows that cannot be asked are left out and named in `warnings`. Raises DataEngineError when too many cannot be.
    """
    probes, ask = Probes(), source.settings.ask
    answered = {answer.idx for answer in answers}
    tasks = [task for task in tasks if task.place in answered]  # what was skipped once is not counted twice
    once = AskOptions(ask.rank, direct=False)
    # in the same orders as the sighted answers, or the two could not be compared
    same = AskOptions(ask.rank, "circular" if ask.robust == "circular" else "off", direct=False)
    if wanted.blind and tasks:
        found, _ = _asked(source, tasks, same, probes, "without images", blind=True)
        probes.blind_answers = answer_records(tasks, found)
        probes.blind = blind_scores(answers, probes.blind_answers, wanted.seed)
    if wanted.contamination and tasks:
        changed = [
            (probe, _asked(source, probe.tasks, once, probes, probe.change)[0])
            for probe in changed_questions(tasks, wanted.seed)
            if probe.tasks
        ]
        # neither a written answer nor the first token on a server gives scores of texts
        ranks_texts = ask.rank != "generate" and source.ranks_texts
        to_rank = orders_to_rank(tasks, wanted.seed) if ranks_texts else []
        ranked = _asked(source, to_rank, once, probes, "orders of options")[0] if to_rank else {}
        probes.contamination, probes.changed_answers = contamination(answers, changed, ranked, wanted.seed)
    for name, one in wanted.panel.items():
        found, left_out = _asked(source, one.tasks, same, probes, f"panel {name}", of=one)
        probes.panel_answers[name] = answer_records(one.tasks, found)
        if not probes.panel_answers[name]:
            raise DataEngineError(f"panel.{name}: {one.file}: no question is left to score; check image_root")
        probes.panel[name] = panel_score(probes.panel_answers[name], left_out)
    return probes


def _asked(
    source: StudentSource,
    tasks: list[Task],
    ask: AskOptions,
    probes: Probes,
    label: str,
    *,
    blind: bool = False,
    of: PanelTasks | None = None,
) -> tuple[dict[int, StudentAnswer], int]:
    """The answers by the tasks' places, and how many rows were left out; `label` names what is asked in messages."""
    settings = source.settings
    file, root = (of.file, of.image_root) if of else (settings.questions, settings.image_root)
    skipped = (
        of.skipped if of else BadRows(file, settings.max_bad_share, len(tasks), remedy="check image_root")
    )
    found = source.answers(Asked(file, root, ask, blind, label), tasks, skipped)
    probes.warnings += [f"{label}: {line}" for line in skipped.warnings()]
    return found, skipped.counts.total()
