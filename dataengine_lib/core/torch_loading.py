"""Loading PyTorch models and tensor files: what the student (steps 1 and 5) and the encoder (step 2) share."""

import pickle
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from dataengine_lib.core.file_kinds.looks_like import looks_like
from dataengine_lib.core.text import one_line
from dataengine_lib.errors import DataEngineError

# What a model computes in. "auto" is resolved by student and encoder, each from its device.
Dtype = Literal["auto", "float32", "bfloat16", "float16"]


@contextmanager
def quiet_in_logs() -> Iterator[None]:
    """Turn transformers' progress bars off where stderr is no terminal: it would draw them into log files."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    if shown and not sys.stderr.isatty():
        logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


@contextmanager
def tensor_file_errors(file: Path, what: str) -> Iterator[None]:
    """Turn what restricted unpicklers raise about `file`, a `what` (checkpoint, pickle), into DataEngineError."""
    try:
        yield
    except OSError as error:
        raise DataEngineError(
            f"{file}: cannot be read ({error.strerror or error}); check the path"
        ) from error
    except pickle.UnpicklingError as error:
        reason = one_line(str(error))[:240]
        raise DataEngineError(
            f"{file}: refused: this {what} holds more than tensors and could run code: {reason}"
        ) from error
    except (
        *(EOFError, RuntimeError, ValueError, TypeError, AttributeError, LookupError, RecursionError),
        zipfile.BadZipFile,
    ) as error:
        # a pointer, a page or another kind of file is said by its name; a damaged one of these kinds is not
        kind = looks_like(file)
        known = not any(
            word in kind
            for word in ("no known kind", "no known format", "pickle", "checkpoint", "zip", "cannot")
        )
        reason = f"it {kind}" if known else one_line(str(error))[:160]
        raise DataEngineError(
            f"{file}: not a readable {what} ({reason}); download or make it again"
        ) from error
