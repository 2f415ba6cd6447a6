"""`dataengine init`: the values that a new experiment is made of, their defaults, and what is found in their files."""

from dataclasses import dataclass
from pathlib import Path

from dataengine_lib.chat.prices import read_prices
from dataengine_lib.core.model_files.model_folder import check_model_folder
from dataengine_lib.core.records import NO_TYPE
from dataengine_lib.core.text import shown
from dataengine_lib.errors import ParameterError
from dataengine_lib.evaluation.tasks import TaskSelection, select_tasks
from dataengine_lib.images.read_pool import read_pool
from dataengine_lib.questions.categories import read_categories, type_name
from dataengine_lib.questions.formats import question_format
from dataengine_lib.questions.reader import check_any_question, read_question_file
from dataengine_lib.questions.tables.parquet_files import is_parquet
from dataengine_lib.questions.tables.tsv_table import is_table
from dataengine_lib.resources import CATEGORY_SETS
from dataengine_lib.runs.parameter_paths import named_paths
from dataengine_lib.teachers.spec import check_spec

EXAMPLE_QUESTIONS = Path("data_demo/aokvqa_v1p0_val_classified.json")
EXAMPLE_STUDENT = "data_demo/models/tiny-llava"
EXAMPLE_POOL = Path("data_demo")
USUAL_TEACHER = "annotations"
USUAL_BUDGET_USD = 10.0
USUAL_MAXNUM = 40
# of step 0, where the questions have no types and the teacher cannot classify
USUAL_CLASSIFIER = "openai:gpt-5.4-mini"
_ENCODER = "openai/clip-vit-base-patch32"
_MAX_BAD_SHARE = 0.05  # the default of every step


@dataclass(frozen=True)
class FoundQuestions:
    """A question file that step 1 can read: its format, how many of its questions can be asked, and their types."""

    format: str
    number: int
    types: frozenset[str]
    typed: bool  # every one has its type

    @property
    def categories(self) -> str:
        """The built-in category set with most of the types; v1 where none has any."""
        return max(CATEGORY_SETS.names, key=self._known)

    @property
    def own_types(self) -> bool:
        """Whether the questions have types of which the category set has none."""
        return self.typed and not self._known(self.categories)

    def _known(self, categories: str) -> int:
        return len(self.types & set(read_categories(categories).names))

    def text(self) -> str:
        """`24 questions of 6 types; format: questions with options, as A-OKVQA's`."""
        types = f"of {_count(len(self.types), 'type')}" if self.typed else "of which some have no type"
        return f"{_count(self.number, 'question')} {types}; format: {self.format}"


@dataclass(frozen=True)
class FoundPool:
    """An image pool that step 2 can read: what kind of folder it is, and how many images it has."""

    kind: str
    number: int

    def text(self) -> str:
        """`100 images; format: COCO`."""
        return f"{_count(self.number, 'image')}; format: {self.kind}"


@dataclass(frozen=True)
class NewExperiment:
    """The values of a new experiment; what was found in a file is None where the file is not there yet."""

    name: str
    questions: Path
    image_root: Path
    student: str
    coco_dataset: Path
    teacher: str
    budget_usd: float | None
    maxnum: int
    found_questions: FoundQuestions | None
    found_pool: FoundPool | None

    @property
    def encoder(self) -> str:
        """The pool's own tiny CLIP, which the project's example has, or CLIP by its name on the hub."""
        own = self.coco_dataset / "models" / "tiny-clip"
        return str(own) if own.is_dir() else _ENCODER

    @property
    def classifier(self) -> str | None:
        """Who gives questions their types in step 0; None where they have them."""
        if self.found_questions is None or self.found_questions.typed:
            return None
        return self.teacher if self.teacher.startswith("openai:") else USUAL_CLASSIFIER

    @property
    def classifier_budget_usd(self) -> float | None:
        """The most that step 0 may spend: the teacher's own limit, or the usual one of the classifier."""
        classifier = self.classifier
        if classifier is None or classifier == self.teacher:
            return self.budget_usd
        return usual_budget(classifier)


def check_question_file(file: Path) -> str:
    """The format of a question file. Raises DataEngineError, one line, when it holds no questions.

    Those of tables are read later, as their images are written into the folder of images.
    """
    found = question_format(file)
    if not (is_parquet(file) or is_table(file)):
        check_any_question(file, read_question_file(file, unanswered=True))
    return found


def find_questions(file: Path, image_root: Path) -> FoundQuestions:
    """Read a question file and look for its images as step 1 does.

    Raises DataEngineError, one line, when step 1 could not ask the questions, or they have no answers.
    """
    if not image_root.is_dir():
        raise ParameterError(
            f"{image_root}: no such folder; give the folder that the questions' images are in"
        )
    content = read_question_file(file, image_root, unanswered=True)
    tasks, _ = select_tasks(content, TaskSelection(file, image_root, "all", "split", _MAX_BAD_SHARE))
    if content.unanswered:
        raise ParameterError(
            f"{file}: no question has an answer, as in a test split, so a run has nothing to learn from; give questions "
            "with answers"
        )
    types = {type_name(task.question.question_type) for task in tasks}
    typed = not types & {"", type_name(NO_TYPE)}
    return FoundQuestions(question_format(file), len(tasks), frozenset(types), typed)


def find_pool(folder: Path) -> FoundPool:
    """Read an image pool as step 2 does. Raises DataEngineError, one line, when it is none."""
    pool = read_pool(folder)
    return FoundPool(pool.kind, len(pool))


def check_student(student: str) -> str:
    """`student` itself. Raises DataEngineError for a file or folder that is missing, or is no model."""
    if not student.strip():
        raise ParameterError("student: is empty; give a model's folder or its name on the hub")
    kind, colon, _ = student.partition(":")
    for path in named_paths("student", student):
        if not path.exists():
            raise ParameterError(f"{path}: does not exist; give a model's folder or its name on the hub")
    if not (colon and kind in ("api", "recorded")):
        check_model_folder(student.removeprefix("vllm:"), "student")
    return student


def check_teacher(teacher: str) -> str:
    """`teacher` itself. Raises ParameterError when it names none, or a file that is missing."""
    try:
        check_spec(teacher)
    except ValueError as error:
        raise ParameterError(f"{shown(teacher)}: {error}") from error
    for path in named_paths("teacher", teacher):
        if not path.is_file():
            raise ParameterError(f"{path}: no such file; give the recorded replies of a teacher")
    return teacher


def usual_budget(teacher: str) -> float | None:
    """The default of `budget_usd`: none for a teacher that is free, or whose price is not known."""
    known = teacher.startswith("openai:") and read_prices(None).of(teacher) is not None
    return USUAL_BUDGET_USD if known else None


def read_number(name: str, kind: type[float] | type[int], text: str) -> float | int:
    """A number above 0. Raises ParameterError for any other text."""
    try:
        number = kind(text)
    except ValueError:
        number = 0
    if not 0 < number < float("inf"):
        whole = "a whole number" if kind is int else "a number"
        raise ParameterError(f"{name}: must be {whole} above 0 (given: {shown(text)})")
    return number


def _count(number: int, noun: str) -> str:
    """`1 image`, `2 images`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
