"""`dataengine` as a user starts it."""

import subprocess
import sys
from pathlib import Path


def call(*arguments: str, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
    """`dataengine` in a process of its own."""
    code = "from dataengine_lib.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=cwd, check=False
    )
