"""Step 4: the teacher's raw replies become training records; dropped ones are kept aside with a reason."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import msgspec

from dataengine_lib.data.files import write_json, write_jsonl
from dataengine_lib.data.raw_reply import Qa, Reason, parse_reply, same_words
from dataengine_lib.data.records import Result, TrainRecord
from dataengine_lib.errors import DataEngineError, ParameterError
from dataengine_lib.steps.config import StepConfig

EXAMPLES = 3  # dropped replies shown per reason
NO_TYPE = "unknown"  # where rows without a readable type are counted


class PostProcessConfig(StepConfig):
    """Parameters of `4_post_process`."""

    input: Path  # gptvqa_result.jsonl of step 3
    output: Path  # gptvqa_train_data.json
    rejects: Path | None = None  # dropped rows with their reasons; default: rejects.jsonl beside output
    image_root: Path | None = None  # where image_path starts; only to show the pictures


class Reject(msgspec.Struct, kw_only=True):
    """A dropped row of `rejects.jsonl`: the line of the input, the row and the reason.

    Of a malformed row `raw_instructions` holds the line itself and `detail` what is wrong with it.
    """

    line: int
    reason: str
    detail: str = ""
    image_id: int | None = None
    question_type: str = ""
    query_id: str = ""
    image_path: str = ""
    raw_instructions: str = ""


class TypeCount(msgspec.Struct):
    """Records kept and rows dropped of one question type."""

    kept: int = 0
    dropped: int = 0


class Counts(msgspec.Struct):
    """`post_process.json`. `kept` counts QAs, `dropped` replies and QAs that repeat one of their image."""

    kept: int
    dropped: int
    by_reason: dict[str, int]
    by_type: dict[str, TypeCount]


@dataclass
class PostProcessResult:
    """What the notebook shows: the records, the counts, and a few dropped replies per reason."""

    records: list[TrainRecord]
    rejects: list[Reject]
    counts: Counts
    examples: dict[str, list[Reject]]
    output: Path
    rejects_path: Path
    counts_path: Path
    image_root: Path | None


def post_process(config: PostProcessConfig) -> PostProcessResult:
    """Write the training records, the rejects and the counts; no row stops the run.

    Raises DataEngineError when the input cannot be read or an output cannot be written.
    """
    rejects_path = config.rejects or config.output.parent / "rejects.jsonl"
    counts_path = config.output.parent / "post_process.json"
    files = [path.resolve() for path in (config.input, config.output, rejects_path, counts_path)]
    if len(set(files)) < len(files):
        raise ParameterError(
            f"{config.output}: input, output, rejects and post_process.json must be four "
            "different files; choose other names"
        )
    records, rejects = _sort_out(_lines(config.input))
    counts = _count(records, rejects)
    write_json(config.output, records)
    write_jsonl(rejects_path, rejects)
    write_json(counts_path, counts)
    examples = {
        reason: [reject for reject in rejects if reject.reason == reason][:EXAMPLES]
        for reason in counts.by_reason
    }
    return PostProcessResult(
        records, rejects, counts, examples, config.output, rejects_path, counts_path, config.image_root
    )


def _lines(path: Path) -> list[tuple[int, bytes]]:
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise DataEngineError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    return [(number, line) for number, line in enumerate(lines, 1) if line.strip()]


def _sort_out(lines: list[tuple[int, bytes]]) -> tuple[list[TrainRecord], list[Reject]]:
    records: list[TrainRecord] = []
    rejects: list[Reject] = []
    seen: set[tuple[int, str, frozenset[str], str]] = set()
    for number, line in lines:
        row = _read_row(line)
        if isinstance(row, str):
            raw = line.decode("utf-8", "replace")
            rejects.append(
                Reject(line=number, reason=Reason.MALFORMED.value, detail=row, raw_instructions=raw)
            )
            continue
        parsed = parse_reply(row.raw_instructions, truncated=row.finish_reason == "length")
        if isinstance(parsed, Reason):
            rejects.append(_reject(number, row, parsed))
            continue
        for qa in parsed:
            key = _key(row.image_id, qa)
            if key in seen:
                rejects.append(_reject(number, row, Reason.DUPLICATE, detail=qa.question))
            else:
                seen.add(key)
                records.append(_record(row, qa))
    return records, rejects


class _Row(msgspec.Struct):
    """A result row as it may come: the original's files hold image ids as numbers or as strings of digits."""

    image_id: int | str
    raw_instructions: str
    question_type: str
    query_id: str | None = None
    image_path: str | None = None
    finish_reason: str | None = None
    model: str | None = None
    request_key: str | None = None
    template: str | None = None
    prompt_sha256: str | None = None
    example_ids: list[str] | None = None
    round: int | None = None


_DECODER = msgspec.json.Decoder(_Row)


def _read_row(line: bytes) -> Result | str:
    """The row, or what is wrong with it."""
    try:
        row = _DECODER.decode(line)
    except RecursionError:
        return "nested too deeply"
    except ValueError as error:  # msgspec's errors, and bytes that are not UTF-8
        return str(error)
    image_id = str(row.image_id).strip()
    if not (image_id.isascii() and image_id.isdigit() and len(image_id) <= 18):
        return f"image_id {image_id[:40]!r} is not a number"
    if not row.question_type.strip():
        return "question_type is empty"
    return Result(
        image_id=int(image_id),
        raw_instructions=row.raw_instructions,
        question_type=row.question_type.strip(),
        query_id=row.query_id or "",
        image_path=row.image_path or "",
        finish_reason=row.finish_reason or "",
        model=row.model or "",
        request_key=row.request_key or "",
        template=row.template or "",
        prompt_sha256=row.prompt_sha256 or "",
        example_ids=row.example_ids or [],
        round=row.round or 0,
    )


def _reject(number: int, row: Result, reason: Reason, detail: str = "") -> Reject:
    return Reject(
        line=number,
        reason=reason.value,
        detail=detail,
        image_id=row.image_id,
        question_type=row.question_type,
        query_id=row.query_id,
        image_path=row.image_path,
        raw_instructions=row.raw_instructions,
    )


def _record(row: Result, qa: Qa) -> TrainRecord:
    return TrainRecord(
        image_id=row.image_id,
        raw_instructions=row.raw_instructions,
        question_type=row.question_type,
        question=qa.question,
        choices=qa.choices,
        correct_choice_idx=qa.correct_choice_idx,
        rationales=qa.rationales,
        query_id=row.query_id,
        image_path=row.image_path,
        short_answer=qa.short_answer,
        model=row.model,
        request_key=row.request_key,
        template=row.template,
        prompt_sha256=row.prompt_sha256,
        example_ids=row.example_ids,
        round=row.round,
    )


def _key(image_id: int, qa: Qa) -> tuple[int, str, frozenset[str], str]:
    """Two QAs with the same key ask the same of the same image, whatever the order of their choices."""
    choices = [same_words(choice) for choice in qa.choices]
    return image_id, same_words(qa.question), frozenset(choices), choices[qa.correct_choice_idx]


def _count(records: list[TrainRecord], rejects: list[Reject]) -> Counts:
    kept = Counter(record.question_type for record in records)
    dropped = Counter(reject.question_type or NO_TYPE for reject in rejects)
    reasons = Counter(reject.reason for reject in rejects)
    return Counts(
        kept=len(records),
        dropped=len(rejects),
        by_reason=dict(sorted(reasons.items(), key=lambda pair: (-pair[1], pair[0]))),
        by_type={name: TypeCount(kept[name], dropped[name]) for name in sorted(kept | dropped)},
    )
