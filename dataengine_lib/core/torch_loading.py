"""What a student (steps 1 and 5) and an encoder (step 2) may compute in; auto is for each to choose by its device."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

Dtype = Literal["auto", "float32", "bfloat16", "float16"]


@contextmanager
def quiet_in_logs() -> Iterator[None]:
    """transformers draws progress bars into logs too; ours stay quiet where nobody watches."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    if shown and not sys.stderr.isatty():
        logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
