"""After step 4: reads every export back as its trainer reads it, so that mistakes show before hours of training."""

from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
import yaml
from msgspec import Meta

from dataengine_lib.core.files import read_json, read_jsonl
from dataengine_lib.core.records import LETTERS, Question
from dataengine_lib.core.text import one_line
from dataengine_lib.errors import DataEngineError
from dataengine_lib.exports.chats import LISTING
from dataengine_lib.exports.minigpt4.loader import loader_fault
from dataengine_lib.exports.minigpt4.texts import config_file
from dataengine_lib.exports.records import IMAGE, ExportJob, ImageFaults


class _TrainerRow(NamedTuple):
    """What a trainer reads from a row: images, the number of image tokens in the text, question and answer."""

    images: list[Path]
    tokens: int
    texts: tuple[str, str]


def check_export(format: str, files: list[Path], job: ExportJob, faults: ImageFaults) -> None:
    """Read `files` back: one row per record, the published keys, an image and its token in each, no empty text.

    Raises DataEngineError naming the file and the row at fault.
    """
    # rows that passed; since rows count from 0, also the number of the row at fault
    number, count = 0, len(job.rows)
    try:
        for row in _READERS[format](files, job):
            if problem := _problem(row, faults):
                raise DataEngineError(problem)
            number += 1
    except DataEngineError as error:
        raise DataEngineError(
            f"{files[0]}: row {number}: {error}; correct the training data and export again"
        ) from error
    if number != count:
        raise DataEngineError(f"{files[0]}: {number} rows for {count} records; export again")
    if format == "hf" and find_spec("datasets"):  # an optional dependency
        _check_with_datasets(job.output, files)


def _problem(row: _TrainerRow, faults: ImageFaults) -> str:
    if row.tokens != len(row.images):
        return f"{row.tokens} image tokens for {len(row.images)} images"
    # a generator, so that no image is opened after the first problem
    problems = (faults.of(path) for path in row.images)
    return next(filter(None, problems), "" if all(text.strip() for text in row.texts) else "an empty text")


# The published row of each format; a key that is missing, misspelt or unknown is an error.


class _Turn(msgspec.Struct, forbid_unknown_fields=True):
    role: Literal["user", "assistant"]
    content: str


class _Messages(msgspec.Struct, forbid_unknown_fields=True):
    messages: tuple[_Turn, _Turn]
    images: list[str]


class _Trl(msgspec.Struct, forbid_unknown_fields=True):
    images: list[str]
    prompt: tuple[_Turn]
    completion: tuple[_Turn]


# rename: `from` is a keyword of Python
class _LlavaTurn(msgspec.Struct, forbid_unknown_fields=True, rename={"speaker": "from"}):
    speaker: Literal["human", "gpt"]
    value: str


class _Llava(msgspec.Struct, forbid_unknown_fields=True):
    id: str
    image: str
    conversations: tuple[_LlavaTurn, _LlavaTurn]


class _V2(msgspec.Struct, forbid_unknown_fields=True):
    instruction: str
    answer: str
    short_answer: str
    options: Annotated[list[str], Meta(min_length=2, max_length=4)]  # two: yes and no
    choice_answer: Literal["A", "B", "C", "D"]
    image: str
    qtype: Annotated[int, Meta(ge=1, le=9)]


# One reader per format, which yields what the format's trainer takes from each row.


def _aokvqa(files: list[Path], job: ExportJob) -> Iterator[_TrainerRow]:
    rows: list[Question] = read_json(files[0], list[Question])
    for row in rows:
        yield _trainer_row(job, [row.image_path], row.question, row.choices[row.correct_choice_idx])


def _llava(files: list[Path], job: ExportJob) -> Iterator[_TrainerRow]:
    rows: list[_Llava] = read_json(files[0], list[_Llava])
    for row in rows:
        asked, answer = row.conversations
        yield _chat(job, [row.image], (asked.speaker, answer.speaker), asked.value, answer.value)


def _llamafactory(files: list[Path], job: ExportJob) -> Iterator[_TrainerRow]:
    """Rows found through `dataset_info.json`, which tells the trainer the file and its columns."""
    listing: dict[str, dict[str, Any]] = read_json(job.folder / LISTING, dict[str, dict[str, Any]])
    entry = listing[job.name]
    # they tell the trainer the names of a row's keys, so the row is read by them here too
    columns, tags = entry["columns"], entry["tags"]
    if entry["formatting"] != "sharegpt" or set(columns) - {"messages", "images"}:
        raise DataEngineError(f"its entry in {LISTING} does not describe sharegpt rows")
    rows: list[dict[str, Any]] = read_json(job.folder / entry["file_name"], list[dict[str, Any]])
    for row in rows:
        turns = [
            {"role": t[tags["role_tag"]], "content": t[tags["content_tag"]]} for t in row[columns["messages"]]
        ]
        yield _messages(job, {"messages": turns, "images": row[columns["images"]]})


def _swift(files: list[Path], job: ExportJob) -> Iterator[_TrainerRow]:
    rows: list[Any] = read_jsonl(files[0])
    for row in rows:
        yield _messages(job, row)


def _messages(job: ExportJob, content: Any) -> _TrainerRow:
    row = _converted(content, _Messages)
    asked, answer = row.messages
    return _chat(job, row.images, (asked.role, answer.role), asked.content, answer.content)


def _trl(files: list[Path], job: ExportJob) -> Iterator[_TrainerRow]:
    """TRL itself adds a token for each image before the prompt, so the text must hold none."""
    rows: list[Any] = read_jsonl(files[0])
    for content in rows:
        row = _converted(content, _Trl)
        (asked,), (answer,) = row.prompt, row.completion
        seen = _chat(job, row.images, (asked.role, answer.role), asked.content, answer.content)
        yield seen._replace(tokens=seen.tokens + len(row.images))


def _v2(files: list[Path], job: ExportJob) -> Iterator[_TrainerRow]:
    rows: list[_V2] = read_json(files[0], list[_V2])
    for row in rows:
        right = LETTERS.index(row.choice_answer)
        if (len(row.options) != 4 and row.options != ["yes", "no"]) or right >= len(row.options):
            raise DataEngineError(f"options {row.options} with {row.choice_answer} as the right one")
        yield _trainer_row(job, [row.image], row.instruction, row.options[right])


def _minigpt4(files: list[Path], job: ExportJob) -> Iterator[_TrainerRow]:
    """Rows found through config, image list and image folder, as `AOKVQADataset` of MLLM-DataEngine finds them."""
    config = yaml.safe_load(config_file(job).read_text(encoding="utf-8"))
    places = config["datasets"][job.name]["build_info"]["train"]
    annotation, coco, images = (
        job.relative_start / places[key] if job.paths == "relative" else Path(places[key])
        for key in ("annotation", "coco", "images")
    )
    listed: dict[str, list[dict[str, Any]]] = read_json(coco, dict[str, list[dict[str, Any]]])
    names = {image["id"]: image["file_name"] for image in listed["images"]}
    rows: list[Question] = read_json(annotation, list[Question])
    for row in rows:
        if not row.rationales:
            raise DataEngineError("has no rationale, but the loader reads the first one")
        if fault := loader_fault(row) or (
            "" if isinstance(row.image_id, int) else "an image id that is text"
        ):
            raise DataEngineError(fault)
        if row.image_id not in names:
            raise DataEngineError(f"image_id {row.image_id} is not in {coco}")
        path = images / names[row.image_id]
        yield _TrainerRow([path], 1, (row.question, row.choices[row.correct_choice_idx]))


def _hf(files: list[Path], job: ExportJob) -> Iterator[_TrainerRow]:
    """Rows of the Parquet files; an image's bytes must equal its source file, which `export_rows` has opened."""
    from dataengine_lib.exports.hugging_face import read_hf

    for row in read_hf(files):
        path = job.resolved(row["image_path"])
        if row["image"]["bytes"] != path.read_bytes():
            raise DataEngineError(f"its image differs from {path}")
        yield _TrainerRow([path], 1, (row["question"], row["answer"]))


_READERS: dict[str, Callable[[list[Path], ExportJob], Iterable[_TrainerRow]]] = {
    "aokvqa": _aokvqa,
    "llava": _llava,
    "minigpt4": _minigpt4,
    "llamafactory": _llamafactory,
    "swift": _swift,
    "trl": _trl,
    "dataengine-v2": _v2,
    "hf": _hf,
}


def _trainer_row(job: ExportJob, images: list[str], asked: str, answer: str, tokens: int = 1) -> _TrainerRow:
    # tokens is 1 where texts have no image token of their own, as in aokvqa and dataengine-v2
    return _TrainerRow([job.resolved(image) for image in images], tokens, (asked, answer))


def _chat(
    job: ExportJob, images: list[str], speakers: tuple[str, str], asked: str, answer: str
) -> _TrainerRow:
    # LLaVA says human and gpt, the others user and assistant
    if speakers not in (("user", "assistant"), ("human", "gpt")):
        raise DataEngineError(f"{speakers[0]} speaks first and {speakers[1]} answers")
    tokens = (asked + answer).count(IMAGE)  # one in the answer would be an image too
    return _trainer_row(job, images, asked.replace(IMAGE, ""), answer, tokens)


def _converted(content: Any, kind: Any) -> Any:
    try:
        return msgspec.convert(content, kind)
    except msgspec.ValidationError as error:
        raise DataEngineError(str(error)) from error


def _check_with_datasets(folder: Path, files: list[Path]) -> None:
    """Let `datasets` read the folder with its README.md, the column types and the first row.

    `load_dataset` would copy everything into a cache and leave reader threads behind, so its parts are called here.
    """
    import datasets
    import pyarrow.parquet as pq

    from dataengine_lib.exports.hugging_face import read_hf

    try:
        # the data files that README.md names, then the types of the columns, then one image
        with TemporaryDirectory() as cache:
            builder = datasets.load_dataset_builder(str(folder), cache_dir=cache)
            found = builder.config.data_files
        with pq.ParquetFile(files[0]) as parquet:
            features = datasets.Features.from_arrow_schema(parquet.schema_arrow)
        image = features.decode_example(next(read_hf(files)))["image"]
        image.load()
    except Exception as error:  # datasets raises errors of many classes
        text = one_line(str(error))[:300]
        raise DataEngineError(f"{folder}: datasets cannot load it ({text}); look at its README.md") from error
    if {name: [Path(file).resolve() for file in some] for name, some in found.items()} != {
        "train": [file.resolve() for file in files]
    }:
        raise DataEngineError(
            f"{folder}: its README.md names other files than the export wrote; correct its configs"
        )
