"""`load_run` (all steps): a run's folder as one object with frames, images and parameters; nothing is run."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from dataengine_lib.chat.ledger import PaidReply
from dataengine_lib.core.files import read_json
from dataengine_lib.core.records import Answer, Query, Result, TrainRecord
from dataengine_lib.core.text import nearest_name, shown
from dataengine_lib.curation.candidates import Reject
from dataengine_lib.errors import DataEngineError
from dataengine_lib.frames.answers import EvaluatedAnswers, answers_frame, bad_cases_frame, question_id_of
from dataengine_lib.frames.comparison import comparison_frame
from dataengine_lib.frames.figures import RoundCounts, rounds_frame, types_frame
from dataengine_lib.frames.queries import queries_frame, replies_frame, request_costs
from dataengine_lib.frames.read_files import read_bad_case_answers, read_evaluation, read_rows
from dataengine_lib.frames.records import CuratedQas, records_frame
from dataengine_lib.queries.spares import ASKED_SPARES_FILE
from dataengine_lib.questions.categories import type_name
from dataengine_lib.runs.manifest import Manifest, read_manifest
from dataengine_lib.runs.opened.case_path import case_path
from dataengine_lib.runs.opened.image_roots import ImageRoots, ref_of
from dataengine_lib.runs.opened.round_folders import OpenedRound, opened_rounds
from dataengine_lib.teachers.reply_files import LEDGER, Failure

if TYPE_CHECKING:
    import pandas as pd
    from PIL import Image

_T = TypeVar("_T")


def load_run(folder: str | Path, image_root: str | Path | None = None) -> "OpenedRun":
    """Open the folder of a run, of one round, or of a single step's files, finished or not; nothing is run.

    Files are read when a frame is first asked for. `image_root` is where image paths start, in place of the folders that
    the run's manifests name. Raises DataEngineError when it is no such folder.
    """
    return OpenedRun(Path(folder), None if image_root is None else Path(image_root))


class OpenedRun:
    """A run's frames, images and parameters; docs/explore.md lists the columns.

    Each frame is made once, and handed out as a copy. `warnings` has a line for each file read so far of which rows were
    left out. A file that cannot be read raises DataEngineError where a frame needs it.
    """

    def __init__(self, folder: Path, image_root: Path | None = None) -> None:
        self.folder = folder
        self.warnings: list[str] = []
        self._rounds = opened_rounds(folder)
        self._image_root = image_root
        self._frames: dict[str, pd.DataFrame] = {}

    def __repr__(self) -> str:
        names = ", ".join(one.evaluated for one in self._rounds if one.evaluation.is_file()) or "none yet"
        return f"run {self.folder} (evaluations: {names})"

    @property
    def answers(self) -> "pd.DataFrame":
        """Every answer of every evaluation."""
        return self._frame("answers", lambda: answers_frame(self._evaluations))

    @property
    def bad_cases(self) -> "pd.DataFrame":
        """The bad cases of every round, with their outcome in the next evaluation."""
        return self._frame("bad_cases", lambda: bad_cases_frame(self._bad_cases, self._later()))

    @property
    def probe_answers(self) -> "pd.DataFrame":
        """The answers to questions that were asked in another way: blind, panel, circular, reverse, contamination."""
        return self._frame("probe_answers", self._probe_answers_frame)

    @property
    def queries(self) -> "pd.DataFrame":
        """The queries to the teacher, with the spares that were asked."""
        return self._frame("queries", lambda: queries_frame(self._queries))

    @property
    def replies(self) -> "pd.DataFrame":
        """The teacher's replies, and the queries that got none that can be used."""
        return self._frame("replies", self._replies_frame)

    @property
    def records(self) -> "pd.DataFrame":
        """The QAs, kept and dropped."""
        return self._frame("records", lambda: records_frame(self._records))

    @property
    def comparison(self) -> "pd.DataFrame":
        """The evaluations question by question. Raises DataEngineError when they share no question."""
        return self._frame("comparison", self._comparison_frame)

    @property
    def types(self) -> "pd.DataFrame":
        """Figures by round and question type."""
        return self._frame("types", lambda: types_frame(self._counts))

    @property
    def rounds(self) -> "pd.DataFrame":
        """Figures by round."""
        return self._frame("rounds", lambda: rounds_frame(self._counts))

    def trace(self, question_id: str) -> "pd.DataFrame":
        """The path of a question: bad case, queries that show it, replies, QAs, fixed or not.

        Raises DataEngineError when no question has that id.
        """
        names = ("answers", "bad_cases", "queries", "replies", "records")
        return case_path(str(question_id), {name: getattr(self, name) for name in names})

    def image(self, of: Any, *, anchor: bool = False) -> "Image.Image":
        """The image of a path, of a row of a frame or of a record, as RGB; `anchor`: of a query's first example.

        Looked for below the run's image roots only: in the pool's first for a row with a query_id, else in the questions'.
        Raises DataEngineError when it is not there or cannot be read.
        """
        ref, of_pool = ref_of(of, anchor)
        return self._image_roots.image(ref, of_pool)

    def image_file(self, of: Any, *, anchor: bool = False) -> Path:
        """The file of the image that `image` reads. Raises DataEngineError when it is not there."""
        ref, of_pool = ref_of(of, anchor)
        return self._image_roots.file(ref, of_pool)

    def parameters(self, step: str, round: int | None = None) -> dict[str, Any]:
        """The parameters of a step (`evaluate` or `1_evaluate`) in a round, or the last time that it ran.

        Raises DataEngineError when the step has not run there.
        """
        names = {manifest.step.partition("_")[2] for _, manifest in self._manifests}
        wanted = [
            manifest
            for number, manifest in self._manifests
            if step in (manifest.step, manifest.step.partition("_")[2]) and round in (None, number)
        ]
        if not wanted:
            where = "" if round is None else f" in round {round}"
            near = f"; the nearest step that has one is {nearest_name(step, sorted(names))}" if names else ""
            raise DataEngineError(f"{self.folder}: no manifest of step {shown(step)}{where}{near}")
        return dict(wanted[-1].parameters)

    def _frame(self, name: str, make: Callable[[], "pd.DataFrame"]) -> "pd.DataFrame":
        if name not in self._frames:
            with _no_garbage_collection():
                self._frames[name] = make()
        # a copy on write: what a user changes in it changes neither the next one nor the path of a case
        return self._frames[name].copy(deep=False)

    def _folders(self) -> Iterator[tuple[int, Path]]:
        """Number and folder of the rounds that have files beside an evaluation."""
        return ((one.number, one.folder) for one in self._rounds if one.folder is not None)

    def _rows(self, name: str, kind: type[_T]) -> dict[int, list[_T]]:
        """The rows of a file in every round."""
        return {number: read_rows(folder / name, kind, self.warnings) for number, folder in self._folders()}

    @cached_property
    def _evaluations(self) -> list[EvaluatedAnswers]:
        """In the order of the rounds; of a round that was not evaluated, none."""
        return [
            EvaluatedAnswers(one.number, one.evaluated, read_evaluation(one.evaluation, self.warnings))
            for one in self._rounds
            if one.evaluation.is_file()
        ]

    @cached_property
    def _bad_cases(self) -> list[EvaluatedAnswers]:
        named = {one.number: one.evaluated for one in self._rounds}
        file = "bad_case_aokvqa_classified.json"
        return [
            EvaluatedAnswers(number, named[number], read_bad_case_answers(folder / file, self.warnings))
            for number, folder in self._folders()
        ]

    def _later(self) -> dict[int, dict[str, bool]]:
        """By round, which questions the next evaluation answered rightly."""
        pairs = zip(self._evaluations, self._evaluations[1:], strict=False)
        return {
            one.round: {question_id_of(answer): answer.correct for answer in other.answers}
            for one, other in pairs
        }

    @cached_property
    def _queries(self) -> dict[int, list[Query]]:
        spares = self._rows(ASKED_SPARES_FILE, Query)
        return {
            number: [*queries, *spares[number]]
            for number, queries in self._rows("gptvqa_prompt.json", Query).items()
        }

    @cached_property
    def _results(self) -> dict[int, list[Result]]:
        return self._rows("gptvqa_result.jsonl", Result)

    @cached_property
    def _failures(self) -> dict[int, list[Failure]]:
        return self._rows("gptvqa_failed.jsonl", Failure)

    @cached_property
    def _records(self) -> dict[int, CuratedQas]:
        kept, dropped = self._rows("gptvqa_train_data.json", TrainRecord), self._rows("rejects.jsonl", Reject)
        return {number: CuratedQas(kept[number], dropped[number]) for number in kept}

    def _replies_frame(self) -> "pd.DataFrame":
        paid = self._rows(LEDGER, PaidReply)
        replies: dict[int, list[Result | Failure]] = {
            number: [*results, *self._failures[number]] for number, results in self._results.items()
        }
        failed = any(self._failures.values())  # only those need the queries
        images = {
            number: {query.query_id: query.image_path for query in rows}
            for number, rows in (self._queries.items() if failed else ())
        }
        return replies_frame(replies, {number: request_costs(rows) for number, rows in paid.items()}, images)

    def _probe_answers_frame(self) -> "pd.DataFrame":
        # here, so that a run is opened without what asks the probes
        from dataengine_lib.frames.probes import ProbedEvaluation, probe_answers_frame

        folders = dict(self._folders())
        probed = (ProbedEvaluation(one, folders.get(one.round)) for one in self._evaluations)
        return probe_answers_frame(probed, self.warnings)

    def _comparison_frame(self) -> "pd.DataFrame":
        files = [one.evaluation for one in self._rounds if one.evaluation.is_file()]
        return comparison_frame(self._evaluations, files)

    @cached_property
    def _counts(self) -> list[RoundCounts]:
        answers: dict[int, list[Answer]] = {one.round: list(one.answers) for one in self._evaluations}
        cases = {one.round: [case.question_type for case in one.answers] for one in self._bad_cases}
        replies = self.replies
        return [self._counts_of(one, answers.get(one.number, []), cases, replies) for one in self._rounds]

    def _counts_of(
        self, one: OpenedRound, answers: list[Answer], cases: dict[int, list[str]], replies: "pd.DataFrame"
    ) -> RoundCounts:
        number, qas = one.number, self._records.get(one.number, CuratedQas([], []))
        costs = replies.loc[replies["round"] == number, "cost_usd"]
        times = [manifest.seconds for made_in, manifest in self._manifests if made_in == number]
        return RoundCounts(
            round=number,
            evaluation=one.evaluated,
            folder=one.name,
            answers=answers,
            weights=_weights(one.folder / "weight.json" if one.folder else None),
            bad_cases=cases.get(number, []),
            queries=[row.question_type for row in self._queries.get(number, [])],
            replies=[row.question_type for row in self._results.get(number, [])],
            failed=[row.question_type for row in self._failures.get(number, [])],
            kept=[row.question_type for row in qas.kept],
            dropped=[row.question_type for row in qas.dropped],
            # the sum is not known where one cost is not
            cost_usd=float(costs.sum(skipna=False)) if len(costs) else None,
            seconds=sum(times) if times else None,
        )

    @cached_property
    def _manifests(self) -> list[tuple[int | None, Manifest]]:
        """The manifests of the run's own folder, then of each round, with the round's number."""
        places = [(None, self.folder), *((one.number, one.folder) for one in self._rounds if one.name)]
        if self._rounds and not self._rounds[0].name:
            places = [(self._rounds[0].number, self.folder)]
        return [
            (number, manifest)
            for number, folder in places
            if folder is not None
            for file in sorted(folder.glob("*.manifest.json"))
            if (manifest := read_manifest(file)) is not None
        ]

    @cached_property
    def _image_roots(self) -> ImageRoots:
        if self._image_root is not None:
            return ImageRoots([self._image_root], [self._image_root])
        return ImageRoots.of((manifest for _, manifest in self._manifests), self.folder)


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Records come by the ten thousand and stay: looking for garbage among them takes a quarter of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _weights(file: Path | None) -> dict[str, float]:
    """The weights by type; empty where there are none."""
    if file is None or not file.is_file():
        return {}
    weights: dict[str, float] = read_json(file, dict[str, float])
    return {type_name(kind): weight for kind, weight in weights.items()}
