"""transformers' progress bars while a model is loaded or saved (steps 1, 2 and 5)."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


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
