"""The columns of an image pool (step 2): one Arrow row an image, built by the readers, kept by the cache."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from dataengine_lib.data.image_pool import PoolFacts

# Boxes are kept in pixels as published: they are normalised when an image is asked for.
BOX = pa.struct(
    [("category", pa.int32()), *((name, pa.float64()) for name in ("x", "y", "w", "h"))],
)
SCHEMA = pa.schema(
    [
        ("id", pa.int64()),
        ("name", pa.large_string()),  # as the annotations give it, not yet looked for
        ("group", pa.int32()),  # which of PoolFacts.places
        ("width", pa.int64()),
        ("height", pa.int64()),
        ("coco_id", pa.int64()),
        ("reason", pa.int8()),  # which of image_pool.REASONS
        ("boxes", pa.large_list(BOX)),
        ("crowds", pa.large_list(pa.int32())),
        ("captions", pa.large_list(pa.large_string())),
    ]
)
_FACTS = b"pool"


def pool_columns(facts: PoolFacts, values: Mapping[str, Any]) -> pa.RecordBatch:
    """A record batch with SCHEMA's columns from arrays or lists in any order of images, sorted by id."""
    batch = pa.record_batch([pa.array(values[name], field.type) if not isinstance(values[name], pa.Array)
                             else values[name] for name, field in zip(SCHEMA.names, SCHEMA, strict=True)],
                            schema=SCHEMA)  # fmt: skip
    batch = batch.take(pa.array(np.argsort(batch["id"].to_numpy(), kind="stable")))
    return batch.replace_schema_metadata({_FACTS: msgspec.json.encode(facts)})


def facts_of(batch: pa.RecordBatch) -> PoolFacts:
    """What `pool_columns` was told. Raises ValueError or KeyError when the batch was made by something else."""
    return msgspec.json.decode((batch.schema.metadata or {})[_FACTS], type=PoolFacts)


def grouped(rows: np.ndarray, values: pa.Array, count: int) -> pa.Array:
    """A list of `values` for each of `count` images; `rows[i]` is the image of value i. Keeps their order."""
    order = np.argsort(rows, kind="stable")
    ends = np.zeros(count + 1, dtype=np.int64)
    np.cumsum(np.bincount(rows, minlength=count), out=ends[1:])
    return pa.LargeListArray.from_arrays(pa.array(ends), values.take(pa.array(order)))


def box_lists(rows: np.ndarray, categories: np.ndarray, boxes: np.ndarray, count: int) -> pa.Array:
    """The `boxes` column from `(k,)` images and categories and `(k, 4)` pixel boxes x, y, w, h."""
    fields = [categories, *np.asarray(boxes, dtype=np.float64).reshape(-1, 4).T]
    arrays = [pa.array(field, kind.type) for field, kind in zip(fields, BOX, strict=True)]
    return grouped(rows, pa.StructArray.from_arrays(arrays, fields=list(BOX)), count)


def caption_lists(rows: np.ndarray, texts: Sequence[str], count: int) -> pa.Array:
    """The `captions` column: one line each, since a caption must not look like a prompt's heading; equal ones once."""
    lines = (" ".join(text.split()) for text in texts)
    distinct = list(dict.fromkeys(pair for pair in zip(rows.tolist(), lines, strict=True) if pair[1]))
    kept = np.fromiter((row for row, _ in distinct), np.int64, len(distinct))
    return grouped(kept, pa.array([line for _, line in distinct], pa.large_string()), count)
