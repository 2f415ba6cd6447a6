"""The columns of an image pool (step 2): one Arrow row an image, built by the readers, kept by the cache."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from dataengine_lib.images.pool import PoolMetadata

# Boxes are kept in pixels as published: they are normalised when an image is asked for.
BOX = pa.struct(
    [("category", pa.int32()), *((name, pa.float64()) for name in ("x", "y", "w", "h"))],
)
# A region of Visual Genome: the place of its phrase among the image's captions, and its box in whole pixels.
REGION = pa.struct([(name, pa.int16()) for name in ("caption", "x", "y", "w", "h")])
SCHEMA = pa.schema(
    [
        ("id", pa.int64()),
        ("name", pa.large_string()),  # as the annotations give it, not yet looked for
        ("group", pa.int32()),  # which of PoolMetadata.places
        ("width", pa.int64()),
        ("height", pa.int64()),
        ("coco_id", pa.int64()),
        ("reason", pa.int8()),  # which of image_pool.REASONS
        ("boxes", pa.large_list(BOX)),
        ("crowds", pa.large_list(pa.int32())),
        ("captions", pa.large_list(pa.large_string())),
        ("regions", pa.large_list(REGION)),
    ]
)
_FACTS = b"pool"
_CHUNK = 100_000  # captions that are Python strings at a time; Visual Genome has 5.4 million


def pool_columns(facts: PoolMetadata, values: Mapping[str, Any]) -> pa.RecordBatch:
    """A record batch with SCHEMA's columns from arrays or lists in any order of images, sorted by id."""
    given = [values[field.name] for field in SCHEMA]
    arrays = [
        column if isinstance(column, pa.Array) else pa.array(column, field.type)
        for column, field in zip(given, SCHEMA, strict=True)
    ]
    batch = pa.record_batch(arrays, schema=SCHEMA)
    batch = batch.take(pa.array(np.argsort(batch["id"].to_numpy(), kind="stable")))
    return batch.replace_schema_metadata({_FACTS: msgspec.json.encode(facts)})


def pool_metadata(batch: pa.RecordBatch) -> PoolMetadata:
    """What `pool_columns` was told. Raises ValueError or KeyError when the batch was made by something else."""
    return msgspec.json.decode((batch.schema.metadata or {})[_FACTS], type=PoolMetadata)


def grouped(rows: np.ndarray, values: pa.Array, count: int) -> pa.Array:
    """A list of `values` for each of `count` images; `rows[i]` is the image of value i. Keeps their order."""
    order = np.argsort(rows, kind="stable")
    ends = _ends(np.bincount(rows, minlength=count))
    return pa.LargeListArray.from_arrays(ends, values.take(pa.array(order)))


def box_lists(rows: np.ndarray, categories: np.ndarray, boxes: np.ndarray, count: int) -> pa.Array:
    """The `boxes` column from `(k,)` images and categories and `(k, 4)` pixel boxes x, y, w, h."""
    fields = [categories, *np.asarray(boxes, dtype=np.float64).reshape(-1, 4).T]
    arrays = [pa.array(field, kind.type) for field, kind in zip(fields, BOX, strict=True)]
    return grouped(rows, pa.StructArray.from_arrays(arrays, fields=list(BOX)), count)


def region_lists(rows: np.ndarray, regions: np.ndarray, count: int) -> pa.Array:
    """The `regions` column from `(k,)` images and `(k, 5)` int16 of a caption's place, x, y, w, h."""
    arrays = [pa.array(field, pa.int16()) for field in regions.reshape(-1, len(REGION)).T.copy()]
    return grouped(rows, pa.StructArray.from_arrays(arrays, fields=list(REGION)), count)


def caption_lists(rows: np.ndarray, texts: Sequence[str], count: int) -> pa.Array:
    """The `captions` column: one line each, since a caption must not look like a prompt's heading; equal ones once."""
    order = np.argsort(rows, kind="stable")
    lengths = [0] * count
    done: list[pa.Array] = []
    lines: list[str] = []
    seen: set[str] = set()
    last = -1
    for row, place in zip(rows[order].tolist(), order.tolist(), strict=True):
        if row != last:
            last, seen = row, set()
            if len(lines) >= _CHUNK:
                done.append(pa.array(lines, pa.large_string()))
                lines = []
        line = " ".join(texts[place].split())
        if line and line not in seen:
            seen.add(line)
            lines.append(line)
            lengths[row] += 1
    done.append(pa.array(lines, pa.large_string()))
    return pa.LargeListArray.from_arrays(_ends(lengths), pa.concat_arrays(done))


def _ends(lengths: Sequence[int] | np.ndarray) -> pa.Array:
    """Where each list begins, and where the last ends."""
    return pa.array(np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths, dtype=np.int64)]))
