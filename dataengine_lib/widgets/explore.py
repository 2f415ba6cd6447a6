"""What `notebooks/explore.ipynb` opens (all steps): a finished run, with its tables and the forms of this package."""

from functools import cached_property
from pathlib import Path

from dataengine_lib.core.step_config import StepConfig
from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.report.tables import Html, escaped
from dataengine_lib.runs.opened.image_roots import existing_folder
from dataengine_lib.runs.opened.newest_run import newest_run
from dataengine_lib.runs.opened.opened_run import OpenedRun, load_run
from dataengine_lib.widgets.case_browser import CaseBrowser
from dataengine_lib.widgets.neighbour_explorer import NeighbourExplorer
from dataengine_lib.widgets.neighbour_search import NeighbourSettings
from dataengine_lib.widgets.reviewer import Reviewer
from dataengine_lib.widgets.weight_editor import WeightEditor

_REPORTS, _EXAMPLE = Path("reports"), Path("data_demo")
_SCRATCH = _REPORTS / "explore"  # where the notebooks write that belong to no run
_KEPT, _DROPPED, _REVIEW = "gptvqa_train_data.json", "rejects.jsonl", "review.json"  # of step 4
_DEMO_ENCODER = "models/tiny-clip"


class ExploreConfig(StepConfig):
    """Parameters of `explore`; without any, the newest finished run below reports/ is opened, or data_demo."""

    run: Path | None = None
    """Folder of a run, of one round, or of single steps' files."""
    image_root: Path | None = None
    """Where image paths start; null: the folders that the run names."""
    example_decisions: Path | None = None
    """Decisions about bad cases, read and written; null: example_decisions.json of the run, or of reports/explore."""
    weight: Path | None = None
    """Weights by type, written; null: weight_by_hand.json of the run, or of reports/explore."""
    review: Path | None = None
    """Decisions about QAs, read and written; null: step 4's review file, or review.json of reports/explore."""
    coco_dataset: Path | None = None
    """Image pool of the neighbours where the run names none; null: the opened folder."""
    coco_embedding: Path = _SCRATCH / "coco_embedding"
    """The embeddings of that pool; made or completed here."""
    encoder: str = ""
    """Its encoder; empty: the playground's CLIP beside the opened files."""


class Explored:
    """An opened run and the forms about it; each is made when it is first asked for.

    `run` has the frames and images. Files of decisions and weights lie in the run's folder, so that they stay with it.
    """

    def __init__(self, config: ExploreConfig, run: OpenedRun) -> None:
        self.config, self.run = config, run

    @cached_property
    def cases(self) -> CaseBrowser:
        """The browser of bad cases."""
        return CaseBrowser(self.run, self.config.example_decisions or self._file("example_decisions.json"))

    @cached_property
    def weights(self) -> WeightEditor | Html:
        """The editor of weights, or why there is nothing to weigh."""
        try:
            return WeightEditor(self.run, self.config.weight or self._file("weight_by_hand.json"))
        except DataEngineError as error:  # a run without bad cases is no fault, and has other tables
            return Html(f'<p class="empty">{escaped(error)}</p>')

    @cached_property
    def neighbours(self) -> NeighbourExplorer:
        """The explorer of the pool."""
        config = self.config
        given = NeighbourSettings(
            pool=config.coco_dataset or self.run.folder,
            store=config.coco_embedding,
            encoder=config.encoder or str(self.run.folder / _DEMO_ENCODER),
        )
        return NeighbourExplorer(self.run, given)

    @cached_property
    def reviewer(self) -> Reviewer | Html:
        """The Reviewer of the last round that has QAs, or why there are none."""
        return self.reviewer_of()

    def reviewer_of(self, round_: int | None = None) -> Reviewer | Html:
        """The Reviewer of a round's kept and dropped QAs, by default of the last round that has some."""
        rounds = self.run.rounds
        rounds = rounds[rounds["kept"] + rounds["dropped"] > 0]
        if round_ is not None:
            rounds = rounds[rounds["round"] == round_]
        if not len(rounds):
            where = "any round" if round_ is None else f"round {round_}"
            return Html(f'<p class="empty">{escaped(f"{self.run.folder}: no QAs in {where}")}</p>')
        last = rounds.iloc[-1]
        folder = self.run.folder / last["folder"]
        file = self.config.review or self._review_file(int(last["round"]), folder)
        return Reviewer(folder / _KEPT, folder / _DROPPED, file, read_image=self.run.image)

    def _review_file(self, round_: int, folder: Path) -> Path:
        """Step 4's review file of the round, as its parameters name it: beside its output, or in another folder."""
        try:
            asked = self.run.parameters("post_process", round_)
        except DataEngineError:  # no step 4 of a run has written these QAs
            return self._file(_REVIEW) if folder == self.run.folder else folder / _REVIEW
        named = Path(asked["review"] or _REVIEW)
        beside = not asked["review"] or named.parent == Path(asked["output"]).parent
        # a run that was moved or copied keeps its decisions, whatever place its parameters name
        place = folder if beside else existing_folder(named.parent, self.run.folder)
        return (place or folder) / named.name

    @property
    def sentence(self) -> str:
        """What was opened, in one sentence."""
        cases = len(self.run.bad_cases)
        rounds = self.run.rounds
        evaluations = int((rounds["questions"] > 0).sum())
        kept = int(rounds["kept"].sum())
        named = f"{evaluations} evaluation{'' if evaluations == 1 else 's'}"
        return f"{self.run.folder} has {named}, {cases:,} bad cases and {kept:,} kept QA{'' if kept == 1 else 's'}."

    def _file(self, name: str) -> Path:
        """Beside the run; where single files were opened, as those of data_demo, in the scratch folder."""
        is_run = (self.run.folder / "run.json").is_file()
        return (self.run.folder if is_run else _SCRATCH) / name


def explore(config: ExploreConfig) -> Explored:
    """Open the run; nothing is run. Raises DataEngineError when the folder is none of a run or a step."""
    folder = config.run or newest_run(_REPORTS) or _EXAMPLE
    if config.run is None and not folder.is_dir():
        raise ParameterError(
            "there is no finished run below reports/ and no data_demo here; set run to a run's folder"
        )
    return Explored(config, load_run(folder, config.image_root))
