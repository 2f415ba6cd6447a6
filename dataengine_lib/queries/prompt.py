"""The prompt of a query (step 2): a template filled with a type, its bad cases, and an image's text and boxes.

What answers it is read by `replies/parse.py`: a template asks for the headings that are known there.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from dataengine_lib.chat.prices import estimate_tokens
from dataengine_lib.core.prompt_template import PromptTemplate
from dataengine_lib.images.pool import NamedBox, PoolImage
from dataengine_lib.resources import QUERY_PROMPTS


class ShownBox(NamedTuple):
    """An object as templates see it; `place` is its box as text, `[0.100, 0.200, 0.400, 0.600]`."""

    name: str
    xyxy: tuple[float, float, float, float]
    place: str


@dataclass(frozen=True)
class QueryPrompt:
    """A template that is ready to be filled; with `attach_image` the teacher is sent the picture as well.

    `fill(question_type, definition, examples, captions, boxes)` gives the text.
    """

    file: Path
    attach_image: bool
    fill: Callable[[str, str, Sequence[str], Sequence[str], Sequence[NamedBox]], str]

    def render(
        self,
        question_type: str,
        definition: str,
        examples: Sequence[str],
        image: PoolImage,
        max_tokens: int | None = None,
    ) -> str | None:
        """The prompt of a query about `image`; captions go, the last first, until `max_tokens` hold it.

        Captions and boxes are never cut: None when the rest alone is too long, by `estimate_tokens`.
        """
        for kept in range(len(image.captions), -1, -1):
            text = self.fill(question_type, definition, examples, image.captions[:kept], image.boxes)
            if max_tokens is None or estimate_tokens(text) <= max_tokens:
                return text
        return None


def load_template(choice: str | Path) -> QueryPrompt:
    """The prompt of a built-in name or a Jinja file; `{% set attach_image = true %}` in it attaches the picture.

    Raises ParameterError naming the file and line when the template is missing or wrong.
    """
    file = QUERY_PROMPTS.file(choice)
    template = PromptTemplate(
        file,
        names="question_type, definition, examples, captions, objects",
        remedy=QUERY_PROMPTS.hint(),
    )

    def fill(
        question_type: str,
        definition: str,
        examples: Sequence[str],
        captions: Sequence[str],
        boxes: Sequence[NamedBox],
    ) -> str:
        return template.render(
            question_type=question_type,
            definition=definition,
            examples=examples,
            captions=captions,
            objects=shown_boxes(boxes),
        ).strip()

    return QueryPrompt(file, template.sets("attach_image"), fill)


def shown_boxes(boxes: Sequence[NamedBox]) -> list[ShownBox]:
    """Boxes as templates see them."""
    # places once here, not by a filter for every number: the sandbox looks at each call of one
    return [
        ShownBox(box.name, box.xyxy, "[{:.3f}, {:.3f}, {:.3f}, {:.3f}]".format(*box.xyxy)) for box in boxes
    ]
