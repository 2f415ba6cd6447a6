"""After step 4: the training records as Parquet files with images, which `datasets.load_dataset` reads."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dataengine_lib.core.records import right_answer
from dataengine_lib.errors import DataEngineError
from dataengine_lib.exports.records import ExportJob, ExportRow

DATA = "data"
_SHARD_BYTES = 500_000_000  # of images in a file, as the Hugging Face Hub recommends
_GROUP_ROWS = 100  # in a row group, which a reader holds in memory as a whole
_GROUP_BYTES = 64_000_000
_SHARD_NAME = re.compile(r"train-\d{5}-of-\d{5}\.parquet")  # matches "train-00000-of-00002.parquet"

_TEXT, _NUMBER = pa.string(), pa.int64()
_TEXTS = pa.list_(pa.field("element", _TEXT))  # as Parquet names it
COLUMNS: dict[str, pa.DataType] = {
    "image": pa.struct({"bytes": pa.binary(), "path": pa.string()}),
    "question": _TEXT,
    "choices": _TEXTS,
    "correct_choice_idx": _NUMBER,
    "answer": _TEXT,
    "short_answer": _TEXT,
    "rationales": _TEXTS,
    "question_type": _TEXT,
    "image_id": _NUMBER,  # _TEXT where one of the ids is a text
    "image_path": _TEXT,
    "question_id": _TEXT,
    "query_id": _TEXT,
    "model": _TEXT,
    "request_key": _TEXT,
    "template": _TEXT,
    "prompt_sha256": _TEXT,
    "example_ids": _TEXTS,
    "round": _NUMBER,
    "answer_kind": _TEXT,
    "cause": _TEXT,  # only where a record has one
}


def write_hf(job: ExportJob) -> list[Path]:
    """Write `data/train-*.parquet` and return the files; same records, images and pyarrow, same bytes.

    Images are copied byte for byte, a row group at a time. The files replace an earlier export only when all of them
    are complete. Raises DataEngineError when `data` holds other files or an image cannot be read.
    """
    data, work = job.output / DATA, job.output / f".{DATA}.unfinished"
    if data.exists() and (
        not data.is_dir() or any(not _SHARD_NAME.fullmatch(path.name) for path in data.iterdir())
    ):
        raise DataEngineError(f"{data}: holds files that are not an export; choose another output")
    try:
        # what an export that was killed has left
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        shards = list(_shards(job))
        schema = _schema(
            text_ids=any(isinstance(row.record.image_id, str) for row in job.rows),
            causes=any(row.record.cause for row in job.rows),
        )
        for number, rows in enumerate(shards):
            _write_shard(work / f"train-{number:05d}-of-{len(shards):05d}.parquet", rows, job, schema)
        # only now, when the new files are complete, is an earlier export removed
        shutil.rmtree(data, ignore_errors=True)
        work.rename(data)
    except OSError as error:
        raise DataEngineError(
            f"{error.filename or data}: {error.strerror}; the export was not written"
        ) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return sorted(data.iterdir())


def read_hf(files: list[Path]) -> Iterator[dict[str, Any]]:
    """The rows of an export, a row group at a time. Raises DataEngineError when a file has other columns."""
    for file in files:
        # pre_buffer would load the whole file into memory
        with pq.ParquetFile(file, pre_buffer=False) as parquet:
            schema = parquet.schema_arrow
            known = (_schema(text_ids, causes) for text_ids in (False, True) for causes in (False, True))
            if not any(schema.equals(one, check_metadata=True) for one in known):
                raise DataEngineError(f"{file}: does not have the columns of an export; export again")
            for group in range(parquet.num_row_groups):
                yield from parquet.read_row_group(group).to_pylist()


def _shards(job: ExportJob) -> Iterator[list[ExportRow]]:
    """The rows in order, as many to a file as _SHARD_BYTES allows."""
    rows: list[ExportRow] = []
    size = 0
    for row in job.rows:
        more = (job.image_root / row.question.image_path).stat().st_size
        # `rows and`: an image that is larger than a whole file may be still gets one
        if rows and size + more > _SHARD_BYTES:
            yield rows
            rows, size = [], 0
        rows.append(row)
        size += more
    yield rows


def _write_shard(file: Path, rows: list[ExportRow], job: ExportJob, schema: pa.Schema) -> None:
    # images are compressed already; repeated texts, such as a type's name, go into a dictionary
    # columns as Parquet names them, lists as `choices.list.element`; leaves[0], image, is a struct of two
    leaves = [
        f"{name}.list.element" if kind == _TEXTS else name
        for name, kind in zip(schema.names, schema.types, strict=True)
    ]
    compression = dict.fromkeys([*leaves[1:], "image.path"], "zstd") | {"image.bytes": "none"}
    repeated = ["question_type", "model", "template", "prompt_sha256"]
    with pq.ParquetWriter(file, schema, compression=compression, use_dictionary=repeated) as writer:
        group: list[dict[str, Any]] = []
        size = 0
        for row in rows:
            group.append(_row(row, job, schema))
            size += len(group[-1]["image"]["bytes"])
            if len(group) == _GROUP_ROWS or size > _GROUP_BYTES:
                writer.write_table(pa.Table.from_pylist(group, schema))
                group, size = [], 0
        if group:
            writer.write_table(pa.Table.from_pylist(group, schema))


def _row(row: ExportRow, job: ExportJob, schema: pa.Schema) -> dict[str, Any]:
    question, record = row.question, row.record
    path = job.image_root / question.image_path
    # columns that are fields of the record; the others follow
    found = {name: getattr(record, name) for name in schema.names if hasattr(record, name)}
    if "cause" in found:
        found["cause"] = record.cause or ""
    if schema.field("image_id").type == _TEXT:
        found["image_id"] = str(record.image_id)
    return found | {
        "image": {"bytes": path.read_bytes(), "path": path.name},
        "answer": right_answer(record),
        "image_path": question.image_path,
        "question_id": question.question_id,
    }


def _schema(text_ids: bool, causes: bool) -> pa.Schema:
    """The columns, with the metadata by which `datasets` tells an image from a struct."""
    columns = COLUMNS | ({"image_id": _TEXT} if text_ids else {})
    if not causes:
        del columns["cause"]
    info = json.dumps({"info": {"features": {name: _feature(kind) for name, kind in columns.items()}}})
    return pa.schema(columns, metadata={"huggingface": info})


def _feature(kind: pa.DataType) -> dict[str, Any]:
    if pa.types.is_struct(kind):
        return {"_type": "Image"}
    if pa.types.is_list(kind):  # `Sequence` is read by every version of datasets, `List` by the newer ones
        return {"feature": _feature(kind.value_type), "_type": "Sequence"}
    return {"dtype": str(kind), "_type": "Value"}
