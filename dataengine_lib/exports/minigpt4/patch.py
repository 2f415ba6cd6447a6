"""After step 4: changes of several files of a checkout: shown as a diff, and made all together or not at all."""

import difflib
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from dataengine_lib.core.written_files.whole_file import replacing
from dataengine_lib.errors import DataEngineError


@dataclass(frozen=True)
class FileChange:
    """A file, its bytes before (None where it is new) and after."""

    file: Path
    before: bytes | None
    after: bytes


def diff_lines(changes: Sequence[FileChange], root: Path) -> Iterator[str]:
    """The changes as a unified diff, with paths relative to `root`, as `git diff` shows them."""
    for change in changes:
        name = change.file.relative_to(root).as_posix()
        # a file is not trusted: what a terminal would act on is shown as an escape
        before, after = (
            [str(DataEngineError(line)) for line in text.decode("utf-8", "replace").splitlines()]
            for text in (change.before or b"", change.after)
        )
        old = "/dev/null" if change.before is None else f"a/{name}"
        yield from difflib.unified_diff(before, after, old, f"b/{name}", lineterm="")


def apply_changes(changes: Sequence[FileChange]) -> None:
    """Write the files: all of them under temporary names, then renamed in the given order.

    When a rename fails, those before it are taken back. Raises DataEngineError when a file has been changed meanwhile or
    cannot be written; then no file is changed.
    """
    for change in changes:
        if (change.file.read_bytes() if change.file.is_file() else None) != change.before:
            raise DataEngineError(f"{change.file}: was changed in the meantime; run the same command again")
    folders = [folder for change in changes for folder in change.file.parents if not folder.exists()]
    modes = {change.file: change.file.stat().st_mode for change in changes if change.before is not None}
    try:
        with ExitStack() as stack:
            # a stack is left in the opposite order, and leaving renames
            for change in reversed(changes):
                stack.enter_context(replacing(change.file)).write(change.after)
        for file, mode in modes.items():
            os.chmod(file, mode)
    except BaseException:
        for change in changes:
            _take_back(change)
        for folder in sorted(folders, key=lambda folder: -len(folder.parts)):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
        raise


def _take_back(change: FileChange) -> None:
    if change.before is None:
        change.file.unlink(missing_ok=True)
    elif change.file.read_bytes() != change.before:
        with replacing(change.file) as stream:
            stream.write(change.before)
