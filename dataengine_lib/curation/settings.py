"""Step 4: the settings of all checks beyond format."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from dataengine_lib.core.torch_loading import Dtype
from dataengine_lib.curation.readers.spec import Reader, ReaderSpecs, VoteRule, readers_of
from dataengine_lib.questions.question_sets import Panel
from dataengine_lib.students.interface import ScoredText

# YAML reads a bare `off` as false.
CheckMode = Annotated[
    Literal["off", "mark", "drop"], BeforeValidator(lambda value: "off" if value is False else value)
]


class CheckSettings(BaseModel):
    """What is checked and with what; a step's Config that inherits it has the fields as parameters.

    A check of mode `mark` fills its column of the record; `drop` also drops the QAs that fail.
    """

    model_config = ConfigDict(extra="forbid", validate_default=True, use_attribute_docstrings=True)

    image_root: Path | None = None
    """Where image_path starts; needed to show the images or to send them to the second reader."""
    box_check: CheckMode = "drop"
    """Off, mark or drop QAs that boxes refute; does nothing without coco_dataset."""
    coco_dataset: Path | None = None
    """Captions and boxes of the images."""
    leaks: CheckMode = "drop"
    """Off, mark or drop QAs that give away the evaluation; does nothing without questions."""
    questions: Path | None = None
    """Evaluation questions."""
    evaluation_image_root: Path | None = None
    """Where their image_path starts."""
    panel: Panel = Field(default_factory=dict)
    """Further evaluation sets, {NAME: {questions, image_root}}."""
    near_duplicates: CheckMode = "drop"
    """Off, mark or drop QAs that ask nearly the same about the same image."""
    near_question: float = Field(0.8, ge=0, le=1)
    """Similarity from which two questions count as the same (0: only equal ones)."""
    earlier: list[Path] = Field(default_factory=list)
    """gptvqa_train_data.json of earlier rounds."""
    coco_embedding: Path | None = None
    """Vector store of step 2; with it, near-duplicate images count as the same."""
    near_image: float = Field(0.98, gt=0, le=1)
    """Cosine similarity from which two images count as the same."""
    difficulty: CheckMode = "off"
    """Off, mark or drop QAs that the current student knows already, or that are too hard for it."""
    student: str = ""
    """The student: model folder or hub name. A run names the round's."""
    adapter: str | None = None
    """Folder or hub name of a PEFT adapter for it. A run names the round's."""
    student_blind: bool = False
    """Show it a grey image in place of each image."""
    difficulty_low: float = Field(0, ge=0, le=1)
    """Probability of the right option below which a QA is too hard (0: none is)."""
    difficulty_high: float = Field(0.75, ge=0, le=1)
    """Probability of the right option above which the student knows a QA, when it chooses that option."""
    both_wrong: CheckMode = "mark"
    """Off, mark or drop QAs that neither student nor second readers answer like the teacher; needs second_answer mark."""
    rank: ScoredText = "text"
    """What is scored of its options: their text, or their letter alone."""
    robust: bool = False
    """Also ask it with the options in reverse order; probabilities are averaged."""
    batch_size: int = Field(64, ge=1)
    """Questions in one pass of the student, halved when memory runs out."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps, or device_map: spread over all GPUs."""
    dtype: Dtype = "auto"
    """Precision; auto: float32 on CPU, the checkpoint's own on a GPU."""
    workers: int | Literal["ray"] = 1
    """Processes, each with a student; ray: one for each GPU (or CPU) of a Ray cluster."""
    second_reader: ReaderSpecs = Field(default_factory=list)
    """Model (openai:MODEL or playground), or several, that answers without seeing the answer, at a cost; empty: none."""
    second_reader_image: bool = False
    """Send it the image too, which lies under image_root."""
    second_answer: CheckMode = "drop"
    """Off, mark or drop QAs where its answer differs, or where it cannot tell."""
    blind_reader: ReaderSpecs = Field(default_factory=list)
    """Model (openai:MODEL or playground), or several, that answers without the image, at a cost; empty: none."""
    blind_answer: CheckMode = "mark"
    """Off, mark or drop QAs that it answers correctly; guessing does that for a fourth of them."""
    reader_vote: VoteRule = "majority"
    """How many of several readers must name the teacher's answer to find it: any, a majority or all."""
    blind_classifier: CheckMode = "mark"
    """Off, mark, or drop QAs whose words alone reveal the answer, until accuracy is at chance."""
    blind_sample: int = Field(10_000, ge=0)
    """Most QAs that it scores, drawn with seed; 0, or mode drop: all."""
    base_url: str | None = None
    """Server of the readers; default OPENAI_BASE_URL, then OpenAI itself."""
    concurrency: int = Field(16, ge=1)
    """Most requests to the readers at the same time."""
    max_output_tokens: int = Field(2000, ge=1)
    """Tokens of one reply of the readers, with those of its reasoning."""
    budget_usd: float | None = Field(None, gt=0, allow_inf_nan=False)
    """Stop asking before more than this is spent on the readers."""
    prices: Path | None = None
    """Price table; default: the built-in one."""
    seed: int = 0
    """Draws the order of choices, the sample of blind_classifier and the QAs that are shown."""

    @model_validator(mode="after")
    def _can_ask_the_student(self) -> Self:
        if isinstance(self.workers, int) and self.workers < 1:
            raise ValueError("workers must be 1 or more, or ray")
        if self.difficulty == "off":
            return self
        if not self.student or self.student.startswith(("api:", "vllm:", "recorded:")):
            given = self.student or "none"
            raise ValueError(
                f"difficulty: asks a student that is loaded here (given: {given}); set student to a model folder or hub "
                "name, or difficulty to off"
            )
        if self.image_root is None:
            raise ValueError("difficulty: the student needs the images; give image_root")
        if self.difficulty_low > self.difficulty_high:
            raise ValueError(
                f"difficulty_low {self.difficulty_low:g} is above difficulty_high {self.difficulty_high:g}; "
                "lower it, or no question is in the band"
            )
        return self

    @property
    def readers(self) -> list[Reader]:
        """The readers that will be asked, in their order."""
        return readers_of(
            self.second_reader if self.second_answer != "off" else [],
            self.blind_reader if self.blind_answer != "off" else [],
            base_url=self.base_url,
            image=self.second_reader_image,
        )

    @property
    def needs_pool(self) -> bool:
        """True if a check that is on reads captions or boxes of `coco_dataset`."""
        return self.box_check != "off" or any(not one.blind for one in self.readers)
