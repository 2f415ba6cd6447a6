"""Steps 0, 1, 2, 4 and 5: the files that are read with a question file although no parameter names them."""

import os
from functools import lru_cache
from pathlib import Path

from dataengine_lib.core.json_rows import json_rows_or_object
from dataengine_lib.errors import DataEngineError
from dataengine_lib.questions.tables.parquet_files import other_parts
from dataengine_lib.questions.vqa_files import is_vqa, vqa_partner


def companion_files(file: Path) -> list[Path]:
    """The files beside `file` whose content is read with it: of VQA's two files the other one, the other parts of a Parquet
    table; none for other files.

    A file that cannot be read has none: the step that reads it says why.
    """
    if parts := other_parts(file):
        return parts
    partner = vqa_partner(file)
    if partner is None or not file.is_file():
        return []
    stamp = os.stat(file)
    return [partner] if _is_vqa_file(file, stamp.st_mtime_ns, stamp.st_size) else []


# a run asks once a step; the time of change and the size tell the versions of a file apart
@lru_cache(maxsize=64)
def _is_vqa_file(file: Path, changed_ns: int, size: int) -> bool:
    try:
        content = json_rows_or_object(file)
    except DataEngineError:
        return False
    return isinstance(content, dict) and is_vqa(content)
