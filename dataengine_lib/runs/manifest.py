"""Manifests (all steps): what a step was made from and what it wrote, so that an unchanged step is skipped."""

import hashlib
import platform
import time
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec

from dataengine_lib import __version__
from dataengine_lib.core.files import files_below, read_json, sha256, write_json
from dataengine_lib.errors import DataEngineError

MISSING = "missing"
# A file changed less than this ago may change again with the same time stamp: file systems such as FAT and NFS
# keep time stamps to 1 or 2 seconds. Its hash is not stored.
_FRESH_SECONDS = 2.0
_LIBRARY = Path(__file__).parents[1]
# Packages that run steps or show their results but do not change the data that a step writes. The playground makes
# data only where its teacher is used.
_NO_DATA = {"demo_assets", "frames", "playground", "report", "runs", "studies", "widgets"}
_CODE = (".py", ".j2", ".yaml")  # modules; built-in prompts, category sets and prices
_VERSIONS = ("torch", "transformers", "peft", "openai", "numpy", "papermill")


class Digest(msgspec.Struct, frozen=True):
    """A file or folder and the hash of its contents."""

    path: str
    sha256: str


class Manifest(msgspec.Struct, kw_only=True):
    """`<step>.manifest.json`. `identity` is a hash of notebook, code, parameters and the contents of the inputs.

    Paths of `outputs` are relative to the run's folder, so that a run can be moved. `seconds` is the whole time of
    the step (without its page where that was written while the next step worked), `work_seconds` the part without
    notebook start-up and rendering. `warnings` are shown whenever the step is skipped as unchanged. `dropped` are outputs
    that were removed on purpose: a step that needs one has it made anew. `taken_from` is the run of the same study that
    made the step, as its folder seen from the study's; empty where this run made it.
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
    dropped: list[str] = []
    taken_from: str = ""
    warnings: list[str] = []
    notebook_sha256: str
    code_sha256: str
    versions: dict[str, str]


class FileHashes:
    """Content hashes, stored in `file` by path, size and time of change, so that images are read only once."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._known: dict[str, tuple[str, str]] = {}
        if file.is_file():
            try:
                self._known = read_json(file, dict[str, tuple[str, str]])
            except DataEngineError:
                self._known = {}  # only a cache: without it every file is hashed again

    def of(self, path: Path) -> str:
        """SHA-256 of a file's or folder's contents; `missing` when it does not exist."""
        if not path.exists():
            return MISSING
        stamp, newest = _stamp(path)
        key = str(path.absolute())
        if (known := self._known.get(key)) and known[0] == stamp:
            return known[1]
        digest = sha256(path)
        if time.time() - newest > _FRESH_SECONDS:
            self._known[key] = (stamp, digest)
        return digest

    def save(self) -> None:
        """Write the hashes for the next run."""
        write_json(self.file, self._known)


def _stamp(path: Path) -> tuple[str, float]:
    """A hash of the names, sizes and change times in a file or folder, and the time of its last change."""
    # Stands for the contents: hashing 100,000 images in every run would take minutes. `cp -p` and `tar` set the time of
    # the last change back to that of their source; the time of the status (ctime) is always that of the system's clock.
    lines, newest = [], 0.0
    parts = [path] if path.is_file() else files_below(path)
    for part in parts:
        state = part.stat()
        newest = max(newest, state.st_mtime)
        lines.append(f"{part.relative_to(path)}\0{state.st_size}\0{state.st_mtime_ns}\0{state.st_ctime_ns}")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest(), newest


def identity(
    step: str, notebook: str, code: str, parameters: dict[str, Any], inputs: dict[str, list[Digest]]
) -> str:
    """One hash of everything that a step's outputs depend on; inputs count by content, not by path.

    `notebook` and `code` are hashes; `parameters` are those that are neither inputs nor outputs.
    """
    contents = {name: [digest.sha256 for digest in digests] for name, digests in inputs.items()}
    # deterministic: the order of keys in a dict does not change the hash
    return hashlib.sha256(
        msgspec.json.encode([step, notebook, code, parameters, contents], order="deterministic")
    ).hexdigest()


def is_up_to_date(manifest: Manifest, identity: str, run: Path, hashes: FileHashes) -> bool:
    """Whether a step need not run again: same identity, and its outputs in the folder `run` are unchanged or dropped."""
    return manifest.identity == identity and all(
        hashes.of(run / output.path) == output.sha256 or is_dropped(manifest, output, run)
        for output in manifest.outputs
    )


def is_dropped(manifest: Manifest, output: Digest, run: Path) -> bool:
    """Whether an output of the step in the folder `run` was removed on purpose and is not there again."""
    return output.path in manifest.dropped and not (run / output.path).exists()


def read_manifest(file: Path) -> Manifest | None:
    """The manifest; None when the file is missing or cannot be read, and then the step runs."""
    try:
        return read_json(file, Manifest) if file.is_file() else None
    except DataEngineError:
        return None


def notebook_hash(notebook: Path) -> str:
    """Hash of the cells' sources; outputs saved in a notebook by JupyterLab do not count."""
    content: dict[str, Any] = read_json(notebook)
    cells = content.get("cells", [])
    # the notebook format allows a source as one text or as a list of lines; join gives the text of both
    sources = ["".join(cell.get("source", "")) for cell in cells]
    return hashlib.sha256("\0".join(sources).encode()).hexdigest()


@cache
def code_hash(*extra: str) -> str:
    """Hash of the code and resources that make data; `extra` names packages of _NO_DATA that a step uses as well."""
    digest = hashlib.sha256()
    for file in sorted(path for path in _LIBRARY.rglob("*") if path.suffix in _CODE):
        name = file.relative_to(_LIBRARY)
        # files beside the packages are the command line and errors.py
        if len(name.parts) > 1 and name.parts[0] not in _NO_DATA - set(extra):
            digest.update(name.as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


@cache
def versions() -> dict[str, str]:
    """Versions of the packages that results depend on, read without importing them."""
    found = {"dataengine": __version__, "python": platform.python_version()}
    for package in _VERSIONS:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found
