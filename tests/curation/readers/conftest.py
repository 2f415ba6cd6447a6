"""The COCO folder whose images readers are asked about."""

from pathlib import Path

import pytest
from coco_folder import annotation, coco


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return coco(
        tmp_path / "coco", {1: "1.jpg"}, [annotation(1, [10, 10, 20, 20])], {1: "A dog chases a kite."}
    )
