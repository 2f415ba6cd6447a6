"""Step 4: the rows of `gptvqa_result.jsonl`, ours or v1's, one at a time; a malformed row is reported, not raised."""

import msgspec

from dataengine_lib.core.files import UNDECODABLE, decode_fault, json_value
from dataengine_lib.core.records import UNKNOWN_IMAGE, ImageId, Result, image_id_of


class _Row(msgspec.Struct):
    """A result row of any program: v1's files hold numbers as image ids, also in quotes."""

    image_id: ImageId
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
    reply_json: str | None = None
    answer_kind: str | None = None
    n_choices: int | None = None
    cause: str | None = None


_OURS = msgspec.json.Decoder(Result)  # tried first: faster than making a Result from a _Row
_ANY = msgspec.json.Decoder(_Row)


def read_row(line: bytes | msgspec.Raw) -> Result | str:
    """The row, or what is wrong with it in words for the rejects file."""
    try:
        ours = json_value(line, _OURS)
        if ours.image_id != UNKNOWN_IMAGE and (question_type := ours.question_type.strip()):
            ours.question_type = question_type
            return ours
    except UNDECODABLE:
        pass  # v1's, or malformed
    try:
        row = json_value(line, _ANY)
    except UNDECODABLE as error:
        return decode_fault(error)
    try:
        image_id = image_id_of(row.image_id)
    except ValueError as error:
        return str(error)
    if image_id == UNKNOWN_IMAGE:
        return f"image_id {str(row.image_id).strip()[:40]!r} names no image"
    question_type = row.question_type.strip()
    if not question_type:
        return "question_type is empty"
    try:
        return _result(row, image_id, question_type)
    except ValueError as error:  # an unknown answer_kind
        return str(error)


def _result(row: _Row, image_id: ImageId, question_type: str) -> Result:
    return Result(
        image_id=image_id,
        raw_instructions=row.raw_instructions,
        question_type=question_type,
        query_id=row.query_id or "",
        image_path=row.image_path or "",
        finish_reason=row.finish_reason or "",
        model=row.model or "",
        request_key=row.request_key or "",
        template=row.template or "",
        prompt_sha256=row.prompt_sha256 or "",
        example_ids=row.example_ids or [],
        round=row.round or 0,
        reply_json=row.reply_json or "",
        answer_kind=row.answer_kind or "",
        n_choices=msgspec.UNSET if row.n_choices is None else row.n_choices,
        cause=row.cause or msgspec.UNSET,
    )
