"""Step 2: the columns of an image pool, one Arrow row for each image; the readers fill them, the cache stores them."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from dataengine_lib.core.text import one_line
from dataengine_lib.images.pool import PoolMetadata
from dataengine_lib.images.references import id_key

# Boxes stay in pixels as published; they are normalised when an image is accessed.
_BOX = pa.struct(
    [("category", pa.int32()), *((name, pa.float64()) for name in ("x", "y", "w", "h"))],
)
# A region of Visual Genome: the place of its phrase among the image's captions, and its box in whole pixels.
_REGION = pa.struct([(name, pa.int16()) for name in ("caption", "x", "y", "w", "h")])
SCHEMA = pa.schema(
    [
        ("id", pa.int64()),  # of a text: its key, see `references.id_key`
        ("text_id", pa.large_string()),  # null where the id is a number
        ("name", pa.large_string()),  # as the annotations give it; whether the file exists is not known here
        ("group", pa.int32()),  # place in PoolMetadata.folders
        ("width", pa.int64()),
        ("height", pa.int64()),
        ("coco_id", pa.int64()),
        ("reason", pa.int8()),  # place in pool.REASONS
        ("boxes", pa.large_list(_BOX)),
        ("crowds", pa.large_list(pa.int32())),
        ("captions", pa.large_list(pa.large_string())),
        ("regions", pa.large_list(_REGION)),
    ]
)
_METADATA_KEY = b"pool"
_CHUNK = 100_000  # captions held as Python strings at a time, to save memory: Visual Genome has 5.4 million


def pool_columns(metadata: PoolMetadata, values: Mapping[str, Any]) -> pa.RecordBatch:
    """A record batch with SCHEMA's columns from arrays or lists with the images in the files' order.

    Sorted by id where all ids are numbers; where one of `values["id"]` is a text, the order stays.
    """
    texts = [one if isinstance(one, str) else None for one in values["id"]]
    named = any(text is not None for text in texts)
    keys = np.fromiter(map(id_key, values["id"]), np.int64, len(texts)) if named else values["id"]
    values = {**values, "id": keys, "text_id": texts}
    given = [values[field.name] for field in SCHEMA]
    arrays = [
        column if isinstance(column, pa.Array) else pa.array(column, field.type)
        for column, field in zip(given, SCHEMA, strict=True)
    ]
    batch = pa.record_batch(arrays, schema=SCHEMA)
    if not named:
        batch = batch.take(pa.array(np.argsort(batch["id"].to_numpy(), kind="stable")))
    return batch.replace_schema_metadata({_METADATA_KEY: msgspec.json.encode(metadata)})


def pool_metadata(batch: pa.RecordBatch) -> PoolMetadata:
    """The metadata given to `pool_columns`. Raises ValueError or KeyError when something else made the batch."""
    return msgspec.json.decode((batch.schema.metadata or {})[_METADATA_KEY], type=PoolMetadata)


def list_column(rows: np.ndarray, values: pa.Array, count: int) -> pa.Array:
    """A list column for `count` images from `(k,)` values; `rows[i]` is the image of value i. Keeps their order."""
    # rows [1, 0, 1]: order [1, 0, 2], lengths [1, 2], offsets [0, 1, 3]
    order = np.argsort(rows, kind="stable")
    ends = _ends(np.bincount(rows, minlength=count))
    return pa.LargeListArray.from_arrays(ends, values.take(pa.array(order)))


def box_lists(rows: np.ndarray, categories: np.ndarray, boxes: np.ndarray, count: int) -> pa.Array:
    """The `boxes` column from k boxes: `(k,)` image rows, `(k,)` categories, `(k, 4)` pixel boxes x, y, w, h."""
    fields = [categories, *np.asarray(boxes, dtype=np.float64).reshape(-1, 4).T]
    arrays = [pa.array(field, kind.type) for field, kind in zip(fields, _BOX, strict=True)]
    return list_column(rows, pa.StructArray.from_arrays(arrays, fields=list(_BOX)), count)


def region_lists(rows: np.ndarray, regions: np.ndarray, count: int) -> pa.Array:
    """The `regions` column from k regions: `(k,)` image rows, `(k, 5)` int16 caption's place, x, y, w, h."""
    arrays = [pa.array(field, pa.int16()) for field in regions.reshape(-1, len(_REGION)).T.copy()]
    return list_column(rows, pa.StructArray.from_arrays(arrays, fields=list(_REGION)), count)


def caption_lists(rows: np.ndarray, texts: Sequence[str], count: int) -> pa.Array:
    """The `captions` column; `rows[i]` is the image of `texts[i]`. Equal captions of an image are kept once.

    White space becomes single spaces: a caption with a line break could pass for a heading of the prompt.
    """
    order = np.argsort(rows, kind="stable")
    lengths = [0] * count
    chunks: list[pa.Array] = []
    lines: list[str] = []  # of the chunk being filled
    seen: set[str] = set()  # of the image `last`
    last = -1
    for row, place in zip(rows[order].tolist(), order.tolist(), strict=True):
        if row != last:
            last, seen = row, set()
            if len(lines) >= _CHUNK:
                chunks.append(pa.array(lines, pa.large_string()))
                lines = []
        line = one_line(texts[place])
        if line and line not in seen:
            seen.add(line)
            lines.append(line)
            lengths[row] += 1
    chunks.append(pa.array(lines, pa.large_string()))
    return pa.LargeListArray.from_arrays(_ends(lengths), pa.concat_arrays(chunks))


def _ends(lengths: Sequence[int] | np.ndarray) -> pa.Array:
    """The offsets of a list column: where each list begins, and where the last one ends."""
    return pa.array(np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths, dtype=np.int64)]))
