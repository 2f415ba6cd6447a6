"""Step 4: the prompts of the second reader and of the blind one, which see a question and never its answer."""

from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

from dataengine_lib.core.prompt_template import PromptTemplate
from dataengine_lib.core.records import TrainRecord, options_text
from dataengine_lib.core.text import one_line
from dataengine_lib.images.pool import PoolImage
from dataengine_lib.queries.prompt import shown_boxes
from dataengine_lib.resources import READER_PROMPTS

SECOND_READER, BLIND_READER = (READER_PROMPTS.file(name) for name in READER_PROMPTS.names)

# what fills a template: question, choices, the image where it may be told of, whether the picture itself is sent
Fill = Callable[[str, Sequence[str], PoolImage | None, bool], str]


def load_reader_prompt(file: Path) -> Fill:
    """A Jinja file as a function `(question, choices, image, attached) -> prompt`.

    Raises ParameterError naming the file and line when it is missing or wrong.
    """
    template = PromptTemplate(
        file, names="question, choices, captions, objects, attached", remedy="check the path"
    )

    def fill(question: str, choices: Sequence[str], image: PoolImage | None, attached: bool) -> str:
        # One line each: a line break in a question must not look like another part of the prompt.
        return template.render(
            question=one_line(question),
            choices=one_line(options_text(list(choices))),
            captions=[one_line(caption) for caption in image.captions] if image else [],
            objects=shown_boxes(image.boxes) if image else [],
            attached=attached,
        ).strip()

    return fill


def other_order(record: TrainRecord, seed: int = 0) -> list[int]:
    """The choices' places in the order in which a reader is shown them; none keeps its letter.

    So a reader that likes a letter does not agree with a teacher that likes the same. The order depends on the
    record's text and `seed` alone. Source: Sattolo 1986, which draws one of the cycles through all places.
    """
    rng = Random("\0".join([str(seed), record.question, *record.choices]))
    order = list(range(len(record.choices)))
    for last in range(len(order) - 1, 0, -1):
        other = rng.randrange(last)
        order[last], order[other] = order[other], order[last]
    return order
