"""Step 5: the usable rows of a training file: questions of every format, conversations as a whole, and captions."""

from collections.abc import Iterator
from os.path import isfile  # False for a name that is too long, where Path.is_file raises
from pathlib import Path
from typing import Any

import msgspec

from dataengine_lib.core.bad_rows import MALFORMED, BadRow, BadRows
from dataengine_lib.core.file_content import open_content
from dataengine_lib.core.file_kinds.looks_like import first_rows, looks_like
from dataengine_lib.core.files import UNDECODABLE, decode_fault, json_value
from dataengine_lib.core.json_rows import JsonRow, json_rows, json_rows_or_object, list_rows
from dataengine_lib.core.records import ImageId, Question, image_id_of, shows_options
from dataengine_lib.errors import DataEngineError
from dataengine_lib.images.references import image_file, image_ref, locate
from dataengine_lib.questions.reader import read_question_rows
from dataengine_lib.replies.other_datasets import holds_chats, others_format, read_conversations
from dataengine_lib.training.base_data import FileFormat
from dataengine_lib.training.texts import CAPTION_INSTRUCTIONS, TextFormat, TrainingRow

# reasons in `train_log.json` for rows that were skipped
NO_IMAGE = "image not found"
EMPTY_TURN = "empty question or answer"
NO_RATIONALE = "no rationale for QM-AE"
EMPTY_CAPTION = "empty caption"

_HEAD = 1 << 20  # bytes; the first rows of a list end within them
_ANY = msgspec.json.Decoder(Any)
_RAW_LIST: msgspec.json.Decoder[list[msgspec.Raw]] = msgspec.json.Decoder(list[msgspec.Raw])
_KINDS: dict[FileFormat, str] = {
    "questions": "multiple-choice questions",
    "conversations": "conversations",
    "captions": "captions",
}


def read_training_rows(
    file: Path,
    root: Path,
    formats: list[TextFormat],
    skipped: BadRows,
    *,
    file_format: FileFormat | None = None,
    shuffle_options: bool = False,
) -> list[TrainingRow]:
    """The usable rows of a file in its order; others are added to `skipped`.

    The content says whether they are questions, conversations or captions; with `file_format` they have to be those.
    `root` is where image paths start. With `shuffle_options` the rows of questions vary.
    Raises DataEngineError when the file cannot be read, holds another kind of rows than `file_format`, or too many of its
    rows cannot be used.
    """
    earlier, rows, captions = skipped.counts.total(), list[TrainingRow](), _caption_rows(file)
    found: FileFormat = "captions" if captions else "conversations" if holds_chats(file) else "questions"
    # a file that holds none of the three is read as questions, whose reader says what it is instead
    if file_format and found != file_format and {found, file_format} != {"questions"}:
        raise DataEngineError(
            f"{file}: holds {_KINDS[found]}, but its format in base_data is {file_format}; correct or remove format"
        )
    # a conversation or caption has its own words, so one text format stands for all
    if captions:
        rows = list(_captions(file, captions, root, tuple(formats[:1]), skipped))
    elif found == "conversations":
        rows = list(_conversations(file, root, tuple(formats[:1]), skipped))
    else:
        rows = list(_questions(file, root, formats, skipped, shuffle_options))
    skipped.n_rows += len(rows) + skipped.counts.total() - earlier
    skipped.check()
    return rows


def _questions(
    file: Path, root: Path, formats: list[TextFormat], skipped: BadRows, shuffle: bool
) -> Iterator[TrainingRow]:
    questions, wrong = read_question_rows(file, root)
    skipped.add(*wrong)
    # there, a question's only rationale is its answer as a sentence
    has_sentences = "answer" in formats and others_format(file) == "dataengine-v2"
    for question in questions:
        where = question.question_id
        try:
            image = root / locate(image_ref(question.image_id, question.image_path), root)
        except DataEngineError as error:
            skipped.add(BadRow(where, str(error), NO_IMAGE))
            continue
        # what is learnt of a yes/no or open-ended question is its answer alone, in every format
        explained = not shows_options(question.answer_kind) or any(
            text.strip() for text in question.rationales
        )
        # QM-AE needs a rationale; the other formats are always possible
        possible = tuple(name for name in formats if name != "QM-AE" or explained)
        if not possible:
            skipped.add(BadRow(where, "", NO_RATIONALE))
            continue
        yield TrainingRow(
            question,
            image,
            possible,
            file,
            where,
            varies="options" if shuffle else "",
            answer=next(iter(question.rationales), "") if has_sentences else "",
        )


def _conversations(
    file: Path, root: Path, formats: tuple[TextFormat, ...], skipped: BadRows
) -> Iterator[TrainingRow]:
    images = _Images(root)
    for row, chat in read_conversations(file):
        if isinstance(chat, str):
            skipped.add(BadRow(row, chat, NO_IMAGE if chat.startswith("image:") else MALFORMED))
            continue
        where = f"{row}, {chat.key}"
        image = images.of(chat.image) if chat.image else None
        if isinstance(image, str):
            skipped.add(BadRow(where, image, NO_IMAGE))
        elif not all(asked and answer for asked, answer in chat.turns):
            skipped.add(BadRow(where, "an empty turn", EMPTY_TURN))
        else:
            # the turns are what is learnt; a row needs a question all the same, for its type
            asked, answer = chat.turns[0]
            question = Question(question=asked, choices=[answer], correct_choice_idx=0)
            yield TrainingRow(question, image, formats, file, where, chat.turns)


class _Images:
    """The images below a root by the name that a row gives; each name is looked for once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known: dict[tuple[ImageId | None, str], Path | str] = {}

    def of(self, name: str, image_id: ImageId | None = None) -> Path | str:
        """The image's path, or why it was not found; an id alone is also the name of a JPEG, as in cc_sbu_align."""
        key = image_id, name
        if key not in self._known:
            try:
                own = None if name else self._of_id(image_id)
                self._known[key] = own or self._root / locate(image_ref(image_id, name), self._root)
            except (DataEngineError, ValueError) as error:  # ValueError: an id of more than 64 bits
                self._known[key] = str(error)
        return self._known[key]

    def _of_id(self, image_id: ImageId | None) -> Path | None:
        # Source: CCSBUAlignDataset of MiniGPT-4, f"{image_id}.jpg" below its folder `image`
        files = (image_file(self._root, f"{folder}{image_id}.jpg") for folder in ("", "image/"))
        return next((file for file in files if isfile(file)), None)


# The row of a caption, and one of COCO's list of images.


class _Caption(msgspec.Struct):
    caption: str
    image_id: ImageId | None = None
    image: str = ""


class _CocoImage(msgspec.Struct):
    id: ImageId
    file_name: str


_CAPTION = msgspec.json.Decoder(_Caption)
_COCO_IMAGES = msgspec.json.Decoder(list[_CocoImage])


class _CaptionRows(msgspec.Struct):
    """The undecoded rows of a file of captions, and the names of images by id where it lists them."""

    rows: list[JsonRow]
    names: dict[ImageId, str] = {}


def _caption_rows(file: Path) -> _CaptionRows | None:
    """The rows of `{"annotations": [{image_id, caption}]}` (MiniGPT-4, COCO) or `[{image, caption}]` (LAVIS).

    None for any other file. Raises DataEngineError when it cannot be read.
    """
    with open_content(file) as stream:
        head = stream.read(_HEAD).decode("utf-8", "ignore").lstrip()  # which may end inside a character
    first = first_rows(head.removeprefix("[")) if head[:1] in ("[", "{") else []
    if head.startswith("[") or len(first) > 1:  # a list, or JSON lines
        return _CaptionRows(list(json_rows(file))) if _has_caption(first) else None
    content = json_rows_or_object(file) if head.startswith("{") else {}
    if not isinstance(content, dict) or "annotations" not in content:
        return None
    try:
        annotations: list[msgspec.Raw] = json_value(content["annotations"], _RAW_LIST)
        rows = list_rows(annotations, "annotations")
        if not rows or not _has_caption([json_value(rows[0].raw, _ANY)]):
            return None
        images = json_value(content["images"], _COCO_IMAGES) if "images" in content else []
    except UNDECODABLE as error:
        raise DataEngineError(f"{file}: {decode_fault(error)}; {looks_like(file)}") from error
    return _CaptionRows(rows, {image_id_of(one.id): one.file_name for one in images})


def _has_caption(rows: list[Any]) -> bool:
    row = next((one for one in rows if isinstance(one, dict)), {})
    return "caption" in row and ("image" in row or "image_id" in row)


def _captions(
    file: Path, found: _CaptionRows, root: Path, formats: tuple[TextFormat, ...], skipped: BadRows
) -> Iterator[TrainingRow]:
    images = _Images(root)
    for row in found.rows:
        try:
            one = json_value(row.raw, _CAPTION)
            image_id = image_id_of(one.image_id)
        except (*UNDECODABLE, ValueError) as error:  # ValueError: an id of more than 64 bits
            skipped.add(BadRow(row.where, decode_fault(error), MALFORMED))
            continue
        image = images.of(one.image or found.names.get(image_id, ""), image_id)
        caption = one.caption.strip()
        if isinstance(image, str):
            skipped.add(BadRow(row.where, image, NO_IMAGE))
        elif not caption:
            skipped.add(BadRow(row.where, "an empty caption", EMPTY_CAPTION))
        else:
            asked = CAPTION_INSTRUCTIONS[0]  # each use of the row draws its own
            question = Question(question=asked, choices=[caption], correct_choice_idx=0)
            yield TrainingRow(
                question, image, formats, file, row.where, ((asked, caption),), varies="instruction"
            )
