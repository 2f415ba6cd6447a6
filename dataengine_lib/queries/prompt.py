"""Step 2: the prompt of a query, a template filled with a type, its bad cases, and an image's captions and boxes.

The teacher's reply is read by `replies/parse.py`: a template must ask for the headings known there.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from dataengine_lib.chat.prices import estimate_tokens
from dataengine_lib.core.prompt_template import PromptTemplate
from dataengine_lib.images.pool import NamedBox, PoolImage
from dataengine_lib.resources import QUERY_PROMPTS


class _ShownBox(NamedTuple):
    """An object as templates see it; `place` is its box as text, `[0.100, 0.200, 0.400, 0.600]`."""

    name: str
    xyxy: tuple[float, float, float, float]
    place: str


@dataclass(frozen=True)
class QueryPrompt:
    """A loaded template; with `attach_image` the picture itself is sent to the teacher too.

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
        """The prompt of a query about `image`; captions are left out, the last first, until it has at most `max_tokens`.

        No caption is cut in two, and boxes and examples are always whole: None when the prompt is too long even
        without captions. Tokens are counted by `estimate_tokens`.
        """
        # all captions first, at last none
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


def shown_boxes(boxes: Sequence[NamedBox]) -> list[_ShownBox]:
    """Boxes as templates see them: fields `name`, `xyxy` (four floats from 0 to 1) and `place` (these as text)."""
    # formatted here, not by a filter in the template: the sandbox checks each call, four for every box
    return [
        _ShownBox(box.name, box.xyxy, "[{:.3f}, {:.3f}, {:.3f}, {:.3f}]".format(*box.xyxy)) for box in boxes
    ]
