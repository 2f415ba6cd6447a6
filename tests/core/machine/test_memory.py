"""A process's share of the memory: of a container's, where there is one; turns where the folder knows no locks."""

import errno
import fcntl
from pathlib import Path
from typing import Any

import psutil
import pytest

from dataengine_lib.core.machine import memory
from dataengine_lib.core.machine.memory import memory_share, one_at_a_time
from dataengine_lib.errors import DataEngineError


@pytest.mark.parametrize(
    ("contents", "expected"),
    [
        ((None, None), 64),
        (("max", None), 64),
        (("4000000000", None), 4),
        ((None, "8000000000"), 8),
        (("max", "9" * 19), 64),
    ],
)
def test_a_container_may_have_less_than_the_machine(
    contents: tuple[str | None, str | None], expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = (tmp_path / "memory.max", tmp_path / "memory.limit_in_bytes")
    for file, content in zip(files, contents, strict=True):
        if content is not None:
            file.write_text(f"{content}\n")
    monkeypatch.setattr(memory, "_LIMITS", files)
    whole: Any = psutil.virtual_memory()._replace(total=64_000_000_000)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: whole)
    assert memory_share(2) == expected * 1_000_000_000 // 8


def test_a_folder_without_locks_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(number: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.setattr(memory.tempfile, "gettempdir", lambda: str(tmp_path))
    with (
        pytest.raises(
            DataEngineError, match=r"images\.lock: cannot be locked \(No locks available\); set TMPDIR to"
        ),
        one_at_a_time("images"),
    ):
        pass
