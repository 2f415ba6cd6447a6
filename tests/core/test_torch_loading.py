"""Tests of the messages for tensor files that cannot be read: one line each, naming the file."""

import pickle
import zipfile
from pathlib import Path

import pytest

from dataengine_lib.core.torch_loading import tensor_file_errors
from dataengine_lib.errors import DataEngineError


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            FileNotFoundError(2, "No such file or directory"),
            "cannot be read (No such file or directory); check",
        ),
        (
            pickle.UnpicklingError("it asks for os.system\nmore. Please file an issue at …"),
            "refused: this checkpoint holds more than tensors and could run code: it asks for os.system more.",
        ),
        (zipfile.BadZipFile("bad\nmagic number"), "not a readable checkpoint (bad magic number); download"),
        (RecursionError("too deep"), "not a readable checkpoint (too deep); download"),
    ],
    ids=["missing", "code", "zip", "nested"],
)
def test_errors_of_tensor_files_are_one_line(error: Exception, message: str) -> None:
    with pytest.raises(DataEngineError) as caught, tensor_file_errors(Path("m.pt"), "checkpoint"):
        raise error
    assert str(caught.value).startswith(f"m.pt: {message}") and "\n" not in str(caught.value)


def test_other_errors_pass() -> None:
    with pytest.raises(ZeroDivisionError), tensor_file_errors(Path("m.pt"), "checkpoint"):
        raise ZeroDivisionError
