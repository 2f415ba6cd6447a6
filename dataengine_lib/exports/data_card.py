"""After step 4: the data card (README.md) of an export: contents, authors, filters and licences."""

from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from dataengine_lib import __version__
from dataengine_lib.core.files import read_json, sha256
from dataengine_lib.core.records import CHOICE, NO_TYPE, OPEN, YES_NO, TrainRecord
from dataengine_lib.core.text import one_line
from dataengine_lib.core.written_files.whole_file import replacing
from dataengine_lib.errors import DataEngineError
from dataengine_lib.exports.records import ExportJob

CARD = "README.md"
CARD_MARKER = "<!-- written by dataengine export; a README.md without this line is never replaced -->"
# the Hugging Face Hub's size_categories, each with the number of rows that it stays below
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_MAX_CHARACTERS = 80  # of a name that comes from data
_MAX_ROWS = 50  # of a table

# How a trainer loads the export, by format. {images} is replaced by a sentence part of _IMAGES or _OWN_IMAGES.
_LOADING = {
    "aokvqa": "A-OKVQA's question list with `question_type`, `image_path` and `prompt` beside its own fields{images}.",
    "llava": "LLaVA: `--data_path {file} --image_folder IMAGES`{images}.",
    "minigpt4": "MiniGPT-4 as in MLLM-DataEngine v1: copy `configs/` over `minigpt4/configs/`, `{name}_builder.py` to "
    "`minigpt4/datasets/builders/`, add the line `from minigpt4.datasets.builders import {name}_builder` to the "
    "`__init__.py` there, and `train_config_entry.yaml` to the training config; `dataengine export minigpt4 --into "
    "CHECKOUT --train-config NAME` does all of it{images}.",
    "llamafactory": "LLaMA-Factory: `dataset_dir` is this folder, `dataset: {name}`{images}.",
    "swift": "ms-swift: `swift sft --dataset {file}`{images}.",
    "trl": "TRL's SFTTrainer, prompt-completion with `images`: "
    '`load_dataset("json", data_files="{file}", split="train")`{images}.',
    "dataengine-v2": "Records of MLLM-DataEngine v2{images}.",
    "hf": '`datasets.load_dataset("PATH OF THIS FOLDER", split="train")`; the images are inside.',
}
_BARE = "; image paths start at the image folder"
_IMAGES = {
    "absolute": "; image paths are absolute, so they are valid only on the machine where they were written",
    "relative": "; image paths start at this folder, from which the training has to be started",
    "bare": _BARE,
}
_OWN_IMAGES = {
    ("llava", "relative"): "; `--image_folder` is this folder",
    (
        "llamafactory",
        "relative",
    ): "; image paths start at this folder, which is what `media_dir` is by default",
    ("llamafactory", "bare"): f"{_BARE}, which `media_dir` has to name",
    ("swift", "relative"): "; image paths start at this folder: set `ROOT_IMAGE_DIR` to it",
    ("swift", "bare"): f"{_BARE}: set `ROOT_IMAGE_DIR` to it",
    ("trl", "bare"): f"{_BARE}, from which the training has to be started",
    ("dataengine-v2", "relative"): "; image paths start at this folder",
    ("minigpt4", "relative"): "; paths start at the checkout, where `train.py` is started",
    ("aokvqa", "relative"): "; image paths start at this folder",
}


def write_card(format: str, file: Path, job: ExportJob, counts: Path | None) -> list[Path]:
    """Write README.md into the export's folder and return it; return nothing where another README.md is in its place.

    `file` is the data file or the first of several; `counts` the post_process.json of the records.
    """
    card = job.folder / CARD
    try:
        if card.exists() and CARD_MARKER not in card.read_text(encoding="utf-8", errors="replace"):
            return []
    except OSError:  # a folder of that name, or a file that cannot be read: not written here
        return []
    with replacing(card, "w") as stream:
        stream.write(_card_text(format, file, job, counts))
    return [card]


def _card_text(format: str, file: Path, job: ExportJob, counts: Path | None) -> str:
    """The card: YAML for the Hugging Face Hub, then Markdown in which names from data are code spans."""
    # the rows are copies of the records, one pass after the other
    records = [row.record for row in job.rows[: len(job.rows) // job.copies]]
    images = len({row.question.image_path for row in job.rows})
    loading = _LOADING[format].format(
        name=job.name, file=file.name, images=_OWN_IMAGES.get((format, job.paths), _IMAGES[job.paths])
    )
    parts = [
        f"---\n{yaml.safe_dump(_front_matter(format, file, job), sort_keys=False, allow_unicode=True)}---\n{CARD_MARKER}",
        f"# {job.name}",
        f"{_asked(records)} on {_many(images, 'image')}, made to improve a "
        "multimodal model where it is weak, after [MLLM-DataEngine](https://arxiv.org/abs/2308.13566). Exported as "
        f"`{format}` by DataEngine {__version__}.",
        f"## Loading\n\n{loading}"
        + (f" The texts are written as {job.text_format}{_copies(job)}." if _is_chat(format) else ""),
        "## Question types\n\n"
        + _table("type", Counter(record.question_type or NO_TYPE for record in records))
        + _causes(records),
        "## Who wrote what\n\nQuestions, choices, answers and explanations are **machine-written** and were checked by "
        f"{_readers(records)} Teachers:\n\n"
        + _table("teacher", Counter(record.model or "not recorded" for record in records))
        + "\n\n"
        + _table("round", Counter(str(record.round or "not recorded") for record in records)),
        "## Filters\n\n" + _filters(counts, len(records)),
        "## Licences\n\n" + _licences(format),
    ]
    return "\n\n".join(parts) + "\n"


def _asked(records: list[TrainRecord]) -> str:
    """The number of questions, by answer kind where there are several."""
    names = {CHOICE: "multiple-choice", YES_NO: "yes/no", OPEN: "open-ended"}
    kinds = Counter(names.get(record.answer_kind or CHOICE, "other") for record in records)
    if len(kinds) == 1:
        return _many(len(records), f"{next(iter(kinds))} question")
    parts = ", ".join(f"{number:,} {kind}" for kind, number in kinds.most_common())
    return f"{_many(len(records), 'question')} ({parts})"


def _causes(records: list[TrainRecord]) -> str:
    """What the wrong answers that a question was made from have in common, where that is known."""
    causes = Counter(str(record.cause) for record in records if record.cause)
    if not causes:
        return ""
    about = (
        f"Of {_many(len(records), 'question')}, {causes.total():,} were made for a cause of wrong answers:"
    )
    return f"\n\n{about}\n\n{_table('cause', causes)}"


def _copies(job: ExportJob) -> str:
    times = f", each question {job.copies} times" if job.copies > 1 else ""
    order = "a new order each time" if job.copies > 1 else "a random order"
    return times + (f", its options in {order}" if job.shuffled else "")


def _front_matter(format: str, file: Path, job: ExportJob) -> dict[str, Any]:
    size = next((name for most, name in _SIZES if len(job.rows) < most), "n>1M")
    data: Any = file.name
    content = file
    # several files, so the digest is that of their folder
    if format == "hf":
        data = [{"split": "train", "path": "data/train-*"}]
        content = file.parent
    # datasets caches what it has read under a hash of this config; the digest makes the hash of each export its own
    config = {"config_name": "default", "description": f"sha256 {sha256(content)}", "data_files": data}
    return {
        "pretty_name": job.name,
        "license": "unknown",
        "task_categories": ["visual-question-answering"],
        "size_categories": [size],
        "tags": ["synthetic", "mllm-dataengine"],
        "configs": [config],
    }


def _readers(records: list[TrainRecord]) -> str:
    """Who checked the records, as the end of a sentence; `review` holds what a person decided in step 4."""
    seen = Counter(record.review for record in records if record.review)
    if not seen:
        return "rules, not by people."
    return (
        f"rules; a person accepted {seen['accept']:,} and edited {seen['edit']:,} of the "
        f"{_many(len(records), 'question')}."
    )


def _is_chat(format: str) -> bool:
    return format in ("llava", "minigpt4", "llamafactory", "swift", "trl")


def _filters(counts: Path | None, rows: int) -> str:
    """What post-processing dropped, from its counts, whose file may be missing or of another version."""
    try:
        content: Any = read_json(counts, dict[str, Any]) if counts else {}
    except DataEngineError:
        content = {}
    kept, dropped, reasons = (content.get(key) for key in ("kept", "dropped", "by_reason"))
    if not isinstance(kept, int) or not isinstance(dropped, int):
        return "Not recorded: there was no `post_process.json` beside the training data."
    text = f"Of the teacher's replies, {kept:,} passed and {dropped:,} were dropped"
    text += f"; this export holds {_many(rows, 'question')}." if rows != kept else "."
    known = {k: v for k, v in reasons.items() if isinstance(v, int)} if isinstance(reasons, dict) else {}
    return f"{text}\n\n{_table('dropped because', Counter(known))}" if known else text


def _licences(format: str) -> str:
    where = "are inside these files" if format == "hf" else "are not part of this folder"
    return "\n".join(
        [
            f"- **Images** {where} and have their own licences. COCO's images come from Flickr, under the terms that "
            "their photographers chose and Flickr's terms of use (https://cocodataset.org/#termsofuse).",
            "- **Examples**: the teacher may have been shown questions of A-OKVQA, which is published under "
            "Apache-2.0.",
            "- **Texts**: check the teacher's terms before training or sharing, above all what they say about training "
            "models that compete with the provider (OpenAI's and other terms mention it).",
            "- No licence is stated for the whole; before sharing it, choose one that all parts allow.",
        ]
    )


def _table(heading: str, counts: Counter[str]) -> str:
    shown = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    lines = [f"| {heading} | number |", "|---|---:|"]
    lines += [f"| {as_code(name)} | {number:,} |" for name, number in shown[:_MAX_ROWS]]
    if len(shown) > _MAX_ROWS:
        lines.append(f"| {len(shown) - _MAX_ROWS} others | {sum(n for _, n in shown[_MAX_ROWS:]):,} |")
    return "\n".join(lines)


def _many(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"


def as_code(name: str) -> str:
    """A name from data as a Markdown code span, in which links and HTML have no effect."""
    # "a`b|c" becomes `a'b¦c`: a ` would end the code span, and a | the cell of a table
    text = "".join(character if character.isprintable() else " " for character in name)
    text = one_line(text.replace("`", "'").replace("|", "¦"))
    return f"`{text[:_MAX_CHARACTERS] or ' '}`"
