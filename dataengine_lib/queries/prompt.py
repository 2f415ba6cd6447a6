"""Step 2: the prompt of a query, a template filled with a type, its bad cases, and an image's captions and boxes.

The teacher's reply is read by `replies/parse.py`: a template must ask for the headings known there.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from dataengine_lib.chat.prices import estimate_tokens
from dataengine_lib.core.number_words import word_of
from dataengine_lib.core.prompt_template import PromptTemplate
from dataengine_lib.core.records import CHOICE, FOUR_CHOICES, QaForm, options_text
from dataengine_lib.errors import ParameterError
from dataengine_lib.images.pool import NamedBox, PoolImage
from dataengine_lib.resources import QUERY_PROMPTS


class _ShownBox(NamedTuple):
    """An object as templates see it; `place` is its box as text, `[0.100, 0.200, 0.400, 0.600]`."""

    name: str
    xyxy: tuple[float, float, float, float]
    place: str


class _Wanted(NamedTuple):
    """What a query asks for: the type and its definition, the form of the QA and, of a yes/no question, its answer.

    `cause` names what the examples have in common, or is empty.
    """

    question_type: str
    definition: str
    form: QaForm
    answer: str
    cause: str


@dataclass(frozen=True)
class QueryPrompt:
    """A loaded template; with `attach_image` the picture itself is sent to the teacher too.

    `reads` are those names of its variables that it uses. `fill(wanted, examples, captions, boxes)` gives the text.
    """

    file: Path
    attach_image: bool
    reads: frozenset[str]
    fill: Callable[[_Wanted, Sequence[str], Sequence[str], Sequence[NamedBox]], str]

    def form(self, wanted: QaForm) -> QaForm:
        """The form that it asks for where `wanted` is that of the examples: a template may ask for four choices only.

        Raises ParameterError where it cannot ask for QAs of that kind.
        """
        if wanted.kind != CHOICE and "answer_kind" not in self.reads:
            raise ParameterError(
                f"{self.file}: asks for multiple-choice questions alone, and some bad cases are {wanted.kind} questions; "
                "use answer_kind in it (yes_no, open or choice), or choose a built-in template"
            )
        return wanted if wanted.kind != CHOICE or "n_choices" in self.reads else FOUR_CHOICES

    def render(
        self,
        question_type: str,
        definition: str,
        examples: Sequence[str],
        image: PoolImage,
        max_tokens: int | None = None,
        form: QaForm = FOUR_CHOICES,
        answer: str = "",
        cause: str = "",
    ) -> str | None:
        """The prompt of a query about `image`; captions are left out, the last first, until it has at most `max_tokens`.

        No caption is cut in two, and boxes and examples are always whole: None when the prompt is too long even
        without captions. Tokens are counted by `estimate_tokens`. `answer`, Yes or No, is what a yes/no question shall
        have as its answer; `cause` names what the examples have in common.
        """
        wanted = _Wanted(question_type, definition, form, answer, cause)
        # all captions first, at last none
        for kept in range(len(image.captions), -1, -1):
            text = self.fill(wanted, examples, image.captions[:kept], image.boxes)
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
        names="question_type, definition, examples, captions, objects, answer_kind, answer, n_choices, places, number, "
        "number_wrong, cause",
        remedy=QUERY_PROMPTS.hint(),
    )

    def fill(
        wanted: _Wanted, examples: Sequence[str], captions: Sequence[str], boxes: Sequence[NamedBox]
    ) -> str:
        count = wanted.form.n_choices
        return template.render(
            question_type=wanted.question_type,
            definition=wanted.definition,
            examples=examples,
            captions=captions,
            objects=shown_boxes(boxes),
            answer_kind=wanted.form.kind,
            answer=wanted.answer,
            cause=wanted.cause,
            n_choices=count,
            places=options_text(["<choice>"] * count),
            number=word_of(count),
            number_wrong=word_of(count - 1),
        ).strip()

    return QueryPrompt(file, template.sets("attach_image"), template.reads(), fill)


def shown_boxes(boxes: Sequence[NamedBox]) -> list[_ShownBox]:
    """Boxes as templates see them: fields `name`, `xyxy` (four floats from 0 to 1) and `place` (these as text)."""
    # formatted here, not by a filter in the template: the sandbox checks each call, four for every box
    return [
        _ShownBox(box.name, box.xyxy, "[{:.3f}, {:.3f}, {:.3f}, {:.3f}]".format(*box.xyxy)) for box in boxes
    ]
