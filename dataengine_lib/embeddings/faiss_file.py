"""Step 2: writes an embedding store as one file for FAISS, for approximate search over millions of images.

Format: faiss/impl/index_write.cpp, an IndexFlatIP (`IxFI`) in an IndexIDMap (`IxMp`), so that searches return image
ids and cosines. FAISS is not needed to write the file; `faiss.read_index` reads it, to search the flat index or to
train another kind from its vectors (`index_factory`).
"""

import struct
from pathlib import Path

import numpy as np

from dataengine_lib.core.written_files.whole_file import replacing
from dataengine_lib.embeddings.store import EmbeddingStore

_INNER_PRODUCT = 0  # faiss.METRIC_INNER_PRODUCT
_ROWS = 1 << 16  # vectors written at a time


def write_faiss(store: EmbeddingStore, file: Path) -> Path:
    """Write the store's ids and vectors to `file`, whole or not at all."""
    count, dimension = store.vectors.shape
    # dimension, rows, two unused numbers (FAISS writes 1 << 20), is_trained, metric
    # (`<`: little-endian without gaps; i int32, q int64, ? one byte)
    header = struct.pack("<iqqq?i", dimension, count, 1 << 20, 1 << 20, True, _INNER_PRODUCT)
    # the map's header; the flat index in it: header, number of floats, floats;
    # then the ids of the map: their number, and int64 for each
    with replacing(file) as stream:
        stream.write(b"IxMp" + header + b"IxFI" + header + struct.pack("<Q", count * dimension))
        for start in range(0, count, _ROWS):
            stream.write(np.ascontiguousarray(store.vectors[start : start + _ROWS], dtype="<f4").tobytes())
        stream.write(struct.pack("<Q", count) + store.ids.astype("<i8").tobytes())
    return Path(file)
