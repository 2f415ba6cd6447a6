"""`dataengine trace` (steps 1 to 6): where a training record comes from, as lines for a terminal.

From the record back to the teacher's reply, the query, the bad cases shown in its prompt and the evaluation; for a
question of the evaluation, its path in the other direction.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dataengine_lib.core.files import read_json
from dataengine_lib.core.records import (
    LETTERS,
    OPEN,
    Query,
    Result,
    TrainRecord,
    most_accepted,
    options_text,
    right_answer,
    shows_options,
)
from dataengine_lib.core.text import printable_line
from dataengine_lib.curation.candidates import Reject
from dataengine_lib.errors import DataEngineError
from dataengine_lib.evaluation.metrics import Metrics
from dataengine_lib.queries.spares import ASKED_SPARES_FILE
from dataengine_lib.runs.lineage import Lineage, find_lineages
from dataengine_lib.runs.opened.path_lines import question_lines


def trace_lines(name: str, folder: Path) -> list[str]:
    """Lines on where `name` comes from: a record id, query id or request key, or the beginning of one; or a question_id.

    `folder` is that of a round or a run. Raises DataEngineError when nothing is found, or when `name` is the
    beginning of several queries' names.
    """
    lines: list[str] = []
    try:
        lineages = find_lineages(name.strip(), folder)
    except DataEngineError:
        if of_question := question_lines(name.strip(), folder):
            return of_question
        raise
    for lineage in lineages:
        lines += _record_lines(lineage)
        lines += _reject_lines(lineage)
        lines += list(_reply_lines(lineage)) or [_not_found("reply", lineage, "gptvqa_result.jsonl")]
        lines += list(_query_lines(lineage)) or [_not_found("query", lineage, "gptvqa_prompt.json")]
        lines += _bad_case_lines(lineage)
        lines += _evaluation_lines(lineage)
    return lines


def _record_lines(lineage: Lineage) -> Iterator[str]:
    file = lineage.folder / "gptvqa_train_data.json"
    for record in lineage.records:
        # modulo: a wrong index in the file gives some letter, not an error
        right = f"({LETTERS[record.correct_choice_idx % len(LETTERS)]})"
        options = f" {printable_line(options_text(record.choices))}"
        if not shows_options(record.answer_kind):
            right, options = printable_line(right_answer(record)), ""
        yield f"record {printable_line(record.record_id or record.query_id)} in {file}"
        yield f"  {_type_and_image(record)}"
        yield f"  {printable_line(record.question)}{options}; right: {right}"
        if record.review:
            yield f"  a person's decision: {printable_line(record.review)}"


def _reject_lines(lineage: Lineage) -> Iterator[str]:
    for reject in lineage.rejects:
        yield f"dropped {printable_line(reject.record_id or reject.query_id)} in {lineage.folder / 'rejects.jsonl'}"
        detail = f" ({printable_line(reject.detail)})" if reject.detail else ""
        yield f"  reason: {printable_line(reject.reason)}{detail}; line {reject.line} of the replies"


def _not_found(what: str, lineage: Lineage, name: str) -> str:
    """Where the trace has a gap: the file is missing, or made anew by another run of its step."""
    file = lineage.folder / name
    return f"{what}: not in {file}" if file.is_file() else f"{what}: not known, as {file} is missing"


def _reply_lines(lineage: Lineage) -> Iterator[str]:
    for reply in lineage.replies:
        yield f"reply in {lineage.folder / 'gptvqa_result.jsonl'}"
        yield f"  teacher {_or_unknown(reply.model)}, request key {_or_unknown(reply.request_key)}"
        tokens = f"tokens {reply.prompt_tokens:,} in, {reply.completion_tokens:,} out"
        yield f"  {tokens}; finish reason: {_or_unknown(reply.finish_reason)}"


def _query_lines(lineage: Lineage) -> Iterator[str]:
    for query in lineage.queries:
        file = ASKED_SPARES_FILE if query.query_id in lineage.spares else "gptvqa_prompt.json"
        yield f"query {printable_line(query.query_id)} in {lineage.folder / file}"
        yield f"  prompt {_or_unknown(query.template)}, sha256 {_or_unknown(query.prompt_sha256)}"
        yield f"  {_type_and_image(query)}, drawn {_how_drawn(query)}"
        if query.cause:
            yield f"  cause: {printable_line(query.cause)}"


def _how_drawn(query: Query) -> str:
    """How step 2 came to the query's image."""
    if not query.neighbour:
        return "at random"
    cosine = f", cosine {query.similarity:.3f}" if query.similarity is not None else ""
    return f"as a neighbour of {printable_line(query.anchor_image_path or query.anchor_image_id)}{cosine}"


def _type_and_image(row: TrainRecord | Query) -> str:
    image = f"image {row.image_id} {printable_line(row.image_path)}"
    return f"{printable_line(row.question_type)}, round {row.round}, {image}".rstrip()


def _bad_case_lines(lineage: Lineage) -> Iterator[str]:
    file = lineage.folder / "bad_case_aokvqa_classified.json"
    wanted = _example_ids(lineage)
    cases = _read_bad_cases(file) if wanted else {}
    for name in wanted:
        case = cases.get(name)
        if case is None:
            yield f"bad case {printable_line(name)}: not in {file}"
            continue
        # another program may have written the file: any field may be missing
        choices, right = case.get("choices") or [], case.get("correct_choice_idx")
        answer = choices[right] if isinstance(right, int) and 0 <= right < len(choices) else ""
        if case.get("answer_kind") == OPEN:
            accepted = case.get("direct_answers")
            answer = most_accepted(list(map(str, accepted))) if isinstance(accepted, list) else ""
        image = printable_line(case.get("image_path") or case.get("image_id"))
        yield f"bad case {printable_line(name)} in {file}"
        yield f"  image {image}: {printable_line(case.get('question') or case.get('prompt'))}"
        yield f"  right: {_or_unknown(answer)}; the student answered: {_or_unknown(case.get('model_answer'))}"


def _example_ids(lineage: Lineage) -> list[str]:
    """Ids of the bad cases in the prompt, from the first row that has them: queries, then replies, then records."""
    rows: list[Query | Result | TrainRecord] = [*lineage.queries, *lineage.replies, *lineage.records]
    return next((row.example_ids for row in rows if row.example_ids), [])


def _read_bad_cases(file: Path) -> dict[str, dict[str, Any]]:
    """Bad cases by question id; plain dicts, because files of the original leave out many fields."""
    if not file.is_file():
        return {}
    by_type: dict[str, list[dict[str, Any]]] = read_json(file, dict[str, list[dict[str, Any]]])
    # step 2 names a bad case in example_ids by its question_id, or by idx where it has none
    return {
        str(case.get("question_id") or case.get("idx")): case for cases in by_type.values() for case in cases
    }


def _evaluation_lines(lineage: Lineage) -> Iterator[str]:
    file = lineage.folder / "metrics.json"
    if not file.is_file():
        yield f"evaluation: not known, as {file} is missing"
        return
    metrics: Metrics = read_json(file, Metrics)
    rows: list[TrainRecord | Reject | Query] = [*lineage.records, *lineage.rejects, *lineage.queries]
    types = {row.question_type for row in rows}
    for split, scores in metrics.splits.items():
        for kind in sorted(types & set(scores.per_type)):
            score = scores.per_type[kind]
            yield f"evaluation {file}, {split}: {printable_line(kind)} {score.correct} of {score.total} right"


def _or_unknown(value: object) -> str:
    return printable_line(value) or "not known"
