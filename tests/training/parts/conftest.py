"""A student of every family for the tests of parts."""

from pathlib import Path

import pytest
from tiny_families import FAMILIES, save_family
from tiny_models import save_tiny_llava


@pytest.fixture(scope="package")
def students(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a student of every family, by the family's name."""
    folder = tmp_path_factory.mktemp("families")
    save_tiny_llava(folder / "tiny_llava")
    for family in FAMILIES:
        save_family(family, folder / family)
    return folder
