"""Step 4: what the second reader and the blind one are shown: a question and never its answer, with the image or not."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import NamedTuple

from dataengine_lib.core.prompt_template import PromptTemplate
from dataengine_lib.core.records import CHOICE, TrainRecord, options_text
from dataengine_lib.core.text import one_line
from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.images.pool import ImagePool, PoolImage
from dataengine_lib.images.references import image_file
from dataengine_lib.queries.prompt import shown_boxes
from dataengine_lib.resources import READER_PROMPTS

SECOND_READER, BLIND_READER = (READER_PROMPTS.file(name) for name in READER_PROMPTS.names)

# What fills a template: question, choices, the image if its captions and boxes are shown, whether it is attached, and
# the answer kind.
_ReaderPrompt = Callable[[str, Sequence[str], PoolImage | None, bool, str], str]


def load_reader_prompt(file: Path) -> _ReaderPrompt:
    """A Jinja file as a function `(question, choices, image, attached, answer_kind) -> prompt`.

    Raises ParameterError naming the file and line when it is missing or wrong.
    """
    template = PromptTemplate(
        file, names="question, choices, captions, objects, attached, answer_kind", remedy="check the path"
    )

    def render(
        question: str, choices: Sequence[str], image: PoolImage | None, attached: bool, answer_kind: str
    ) -> str:
        # One line each: a line break in a question must not look like another part of the prompt.
        return template.render(
            question=one_line(question),
            choices=one_line(options_text(list(choices))),
            captions=[one_line(caption) for caption in image.captions] if image else [],
            objects=shown_boxes(image.boxes) if image else [],
            attached=attached,
            answer_kind=answer_kind,
        ).strip()

    return render


class ShownQuestion(NamedTuple):
    """A record's question as a reader gets it; `picture` is the file to attach, with the SHA-256 of its bytes."""

    record: TrainRecord
    prompt: str
    picture: Path | None = None
    picture_sha256: str = ""


@dataclass
class ReaderView:
    """What a reader is shown of a record's image.

    `pool` holds captions and boxes. With `attach_image` the picture under `image_root` is sent as well, its longer side
    at most `max_side` pixels. A `blind` reader is shown neither. `template` replaces the built-in prompt.

    Raises ParameterError when what the reader is to be shown is not given, or the template is wrong.
    """

    pool: ImagePool | None = None
    blind: bool = False
    attach_image: bool = False
    image_root: Path | None = None
    max_side: int = 1024
    template: Path | None = None
    _render: _ReaderPrompt = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.blind:
            self.pool, self.attach_image = None, False
        elif self.attach_image and self.image_root is None:
            raise ParameterError("second reader: it is to be sent the pictures; give image_root")
        elif not self.attach_image and self.pool is None:
            raise ParameterError(
                "second reader: it needs captions and boxes, or the picture; give coco_dataset"
            )
        self._render = load_reader_prompt(self.template or (BLIND_READER if self.blind else SECOND_READER))

    def show(self, record: TrainRecord, seed: int) -> ShownQuestion | str:
        """The record's question with its choices in the order of `reader_order`, or why it cannot be shown."""
        image: PoolImage | None = None
        if self.pool is not None and (image := self.pool.find(record.image_id)) is None:
            return f"image {record.image_id} is not in {self.pool.root}"
        picture, sha256 = None, ""
        if self.attach_image and self.image_root is not None:
            try:
                picture = image_file(self.image_root, record.image_path or (image.path if image else ""))
                # part of the request's key: a picture that has changed is asked about anew
                sha256 = hashlib.sha256(picture.read_bytes()).hexdigest()
            except (DataEngineError, OSError) as error:
                return f"picture of image {record.image_id} cannot be read ({error})"
        choices = [record.choices[index] for index in reader_order(record, seed)]
        kind = record.answer_kind or CHOICE
        prompt = self._render(record.question, choices, image, picture is not None, kind)
        return ShownQuestion(record, prompt, picture, sha256)


def reader_order(record: TrainRecord, seed: int = 0) -> list[int]:
    """The indices of the choices in the order in which a reader is shown them; none keeps its letter.

    So a reader that prefers a letter does not agree with a teacher that prefers the same. The order depends on the
    record's text and `seed` alone. Source: Sattolo 1986, which draws one of the cycles through all places.
    """
    # Random hashes a text the same way in every process, unlike `hash`
    rng = Random("\0".join([str(seed), record.question, *record.choices]))
    order = list(range(len(record.choices)))
    for last in range(len(order) - 1, 0, -1):
        # below `last`, never `last` itself as in Fisher and Yates' shuffle: so no choice keeps its place
        other = rng.randrange(last)
        order[last], order[other] = order[other], order[last]
    return order
