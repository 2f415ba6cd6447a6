"""What a step was made from and what it left (all steps), so that an unchanged step is skipped."""

import hashlib
import os
import platform
import time
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec

from dataengine_lib import __version__
from dataengine_lib.core.files import read_json, sha256, write_json
from dataengine_lib.errors import DataEngineError

MISSING = "missing"
_FRESH_S = 2.0  # a file younger than this may change again within one tick of its time stamp
_CODE = ("data", "models", "steps")
_VERSIONS = ("torch", "transformers", "peft", "openai", "numpy", "papermill")


class Digest(msgspec.Struct, frozen=True):
    """A file or folder and the hash of its contents."""

    path: str
    sha256: str


class Manifest(msgspec.Struct, kw_only=True):
    """`<step>.manifest.json`. `identity` sums up notebook, code, parameters and the contents of the inputs.

    Paths of `outputs` are relative to the run's folder, so a run can be moved.
    """

    step: str
    identity: str
    started: str
    seconds: float = 0.0
    work_seconds: float = 0.0
    seed: int | None
    parameters: dict[str, Any]
    inputs: dict[str, list[Digest]]
    outputs: list[Digest] = []
    notebook_sha256: str
    code_sha256: str
    versions: dict[str, str]


class FileHashes:
    """Hashes of contents, remembered in `file` by path, size and time of change: photos are read once."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._known: dict[str, tuple[str, str]] = {}
        if file.is_file():
            try:
                self._known = read_json(file, dict[str, tuple[str, str]])
            except DataEngineError:
                self._known = {}  # only a memory: without it everything is hashed again

    def of(self, path: Path) -> str:
        """The hash of a file's or folder's contents, `missing` when there is none."""
        if not path.exists():
            return MISSING
        stamp, newest = _stamp(path)
        key = str(path.absolute())
        if (known := self._known.get(key)) and known[0] == stamp:
            return known[1]
        digest = sha256(path)
        if time.time() - newest > _FRESH_S:
            self._known[key] = (stamp, digest)
        return digest

    def save(self) -> None:
        """Write what is known for the next run."""
        write_json(self.file, self._known)


def _stamp(path: Path) -> tuple[str, float]:
    """A short name for the state of a file or folder, and the time of its last change."""
    lines, newest = [], 0.0
    parts = [path] if path.is_file() else sorted(Path(f, n) for f, _, names in os.walk(path) for n in names)
    for part in parts:
        state = part.stat()
        newest = max(newest, state.st_mtime)
        lines.append(f"{part.relative_to(path)}\0{state.st_size}\0{state.st_mtime_ns}")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest(), newest


def identity(
    step: str, notebook: str, code: str, parameters: dict[str, Any], inputs: dict[str, list[Digest]]
) -> str:
    """Sums up what a step's outputs depend on; inputs count by their contents, wherever they lie.

    `parameters` are those that are neither inputs nor outputs.
    """
    contents = {name: [digest.sha256 for digest in digests] for name, digests in inputs.items()}
    return hashlib.sha256(
        msgspec.json.encode([step, notebook, code, parameters, contents], order="deterministic")
    ).hexdigest()


def still_good(manifest: Manifest, identity: str, run: Path, hashes: FileHashes) -> bool:
    """Whether a step need not run again: made from the same, and its outputs are as it left them."""
    return manifest.identity == identity and all(
        hashes.of(run / output.path) == output.sha256 for output in manifest.outputs
    )


def read_manifest(file: Path) -> Manifest | None:
    """The manifest, or None when there is none that can be read: then the step runs."""
    try:
        return read_json(file, Manifest) if file.is_file() else None
    except DataEngineError:
        return None


def notebook_hash(notebook: Path) -> str:
    """Hash of the cells' sources: outputs left in a notebook by JupyterLab do not count."""
    content: dict[str, Any] = read_json(notebook)
    cells = content.get("cells", [])
    sources = ["".join(cell.get("source", "")) for cell in cells]
    return hashlib.sha256("\0".join(sources).encode()).hexdigest()


@cache
def code_hash(*more: str) -> str:
    """Hash of the library's code that makes data; `more` names further packages that a step uses."""
    digest, root = hashlib.sha256(), Path(__file__).parent
    for package in (*_CODE, *more):
        for module in sorted((root / package).rglob("*.py")):
            digest.update(str(module.relative_to(root)).encode() + b"\0" + module.read_bytes())
    return digest.hexdigest()


@cache
def versions() -> dict[str, str]:
    """Versions of what the results depend on, read without importing it."""
    found = {"dataengine": __version__, "python": platform.python_version()}
    for package in _VERSIONS:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found
