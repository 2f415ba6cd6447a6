"""Steps that several runs of a study need: one run makes each, the others wait for it and take it over.

What can be taken over is what lies in the runs' own folders. Beside them there are only locks and a copy of the
embedding stores, in `.shared`, which may be deleted whenever no run is in progress.
"""

import fcntl
import glob
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from dataengine_lib.core.files import fingerprint, read_json, sha256, write_json
from dataengine_lib.core.notebook_folder import Origin
from dataengine_lib.core.written_files.whole_file import replacing
from dataengine_lib.errors import DataEngineError
from dataengine_lib.runs.manifest import Digest, Manifest, read_manifest
from dataengine_lib.runs.workflow import Planned
from dataengine_lib.teachers.reply_files import LEDGER

SHARED = ".shared"
_TEXT = (".json", ".jsonl", ".txt", ".ipynb")  # files that may hold the path of their run
_MANIFESTS = "*/seed*/**/{}.manifest.json"


class StudySteps:
    """`runs.reuse.sharing.SharedSteps` of the study in the folder `study`."""

    def __init__(self, study: Path) -> None:
        self.study = study
        self._read: dict[Path, tuple[int, Manifest]] = {}  # manifests by file, with their time of change

    @contextmanager
    def step(self, item: Planned, manifest: Manifest, out: Path) -> Iterator[Manifest | None]:
        """As the protocol says. The system frees the lock of a run that is killed."""
        with _lock(self.study / SHARED / "locks" / manifest.identity):
            if taken := self._take_over(item, manifest, out):
                yield taken
                return
            with self._stores(item, out):
                yield None

    def _take_over(self, item: Planned, manifest: Manifest, out: Path) -> Manifest | None:
        """Copy the files of a step that another run has made from the same to the run in `out`; None if there are none."""
        for file in sorted(self.study.glob(_MANIFESTS.format(item.step.notebook))):
            found = self._manifest(file)
            if found is None or found.identity != manifest.identity or file == item.manifest:
                continue
            origin = self.study.joinpath(*file.relative_to(self.study).parts[:2])  # ARM/seedN
            with suppress(OSError, DataEngineError):  # changed or removed while it was copied
                if taken := self._copied(item, manifest, out, found, file, origin):
                    return taken
        return None

    def _manifest(self, file: Path) -> Manifest | None:
        try:
            changed = file.stat().st_mtime_ns
        except OSError:  # its step has begun anew
            return None
        if self._read.get(file, (0, None))[0] != changed:
            if (found := read_manifest(file)) is None:
                return None
            self._read[file] = (changed, found)
        return self._read[file][1]

    def _copied(
        self, item: Planned, wanted: Manifest, out: Path, found: Manifest, file: Path, origin: Path
    ) -> Manifest | None:
        """Copy outputs, notebook and manifest from the run `origin`; None where its files are not those it made."""
        if [output for output in found.outputs if not (origin / output.path).exists()]:
            return None  # dropped, or removed by hand
        notebook = file.with_name(item.executed.name)
        before, after = self._paths(notebook, origin, out)
        outputs = []
        for output in found.outputs:
            source, target = (
                origin / output.path,
                _moved(origin / output.path, file.parent, origin, item, out),
            )
            if source.is_dir():
                _link_folder(source, target)
            else:
                _copy(source, target, before, after)
            digest = sha256(target)
            if digest != output.sha256 and not (source.is_file() and _holds(source, before)):
                return None
            outputs.append(Digest(os.path.relpath(target, out), digest))
        for store in _stores_of(item, out):
            if not store.exists() and (origin / store.relative_to(out)).is_dir():
                _link_folder(origin / store.relative_to(out), store)
        # what was paid for is not asked once more when this run's teacher is changed
        extra = [file.with_name(LEDGER)] if item.step.name == "generate_qa" else []
        for source in [notebook, *extra]:
            if source.is_file():
                _copy(source, item.folder / source.name, before, after)
        taken = msgspec.structs.replace(
            found,
            parameters=wanted.parameters,
            inputs=wanted.inputs,
            outputs=outputs,
            taken_from=found.taken_from or origin.relative_to(self.study).as_posix(),
        )
        write_json(item.manifest, taken)
        return taken

    def _paths(self, notebook: Path, origin: Path, out: Path) -> tuple[str, str]:
        """How the executed notebook of the run `origin` names its run's folder, and that of the run in `out`."""
        content: dict[str, Any] = read_json(notebook, dict[str, Any])
        origin_of = Origin.of(content.get("metadata", {}).get("papermill", {}).get("parameters", {}))
        named = origin if origin_of is None else origin_of.run
        # both lie two folders below the study's, which may have been named from another folder at that time
        study = named.parent.parent
        return str(named), str(study / out.relative_to(self.study))

    @contextmanager
    def _stores(self, item: Planned, out: Path) -> Iterator[None]:
        """Give the run a copy of the stores that its step extends; the first run to need one makes it for all.

        Each run has files of its own. They are linked, as a store's files are replaced and never changed.
        """
        stores = _stores_of(item, out)
        if item.step.name != "construct_queries" or not stores:  # other steps extend what step 2 has made
            yield
            return
        (store,) = stores
        # one for each encoder and pool; a store says itself what it holds
        key = fingerprint(*(str(getattr(item.config, name)) for name in ("encoder", "coco_dataset")))
        shared = self.study / SHARED / "stores" / f"{store.name}-{key[:16]}"
        with ExitStack() as lock:
            lock.enter_context(_lock(shared.with_suffix(".lock")))
            if made := shared.is_dir():
                if not store.exists():
                    _link_folder(shared, store)
                lock.close()  # the others go on
            yield
            if not made:
                _link_folder(store, shared)


def _stores_of(item: Planned, out: Path) -> list[Path]:
    """The stores inside the run's folder that the step extends."""
    stores = [getattr(item.config, name) for name in item.step.stores]
    return [path for path in stores if isinstance(path, Path) and path.is_relative_to(out)]


@contextmanager
def _lock(file: Path) -> Iterator[None]:
    """Hold a lock on `file` during the block; waits for it. The system frees it when this process ends in any way."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _moved(source: Path, folder: Path, origin: Path, item: Planned, out: Path) -> Path:
    """Where an output lies in the run `out`: beside its step, which may be in another round there."""
    if source.is_relative_to(folder):
        return item.folder / source.relative_to(folder)
    return out / source.relative_to(origin)


def _copy(source: Path, target: Path, before: str, after: str) -> None:
    """Copy a file; in a text the run's folder `before` becomes `after`."""
    content = source.read_bytes()
    if source.suffix in _TEXT:
        # not reports/s/a/seed1 in reports/s/a/seed10
        content = re.sub(re.escape(before.encode()) + rb"(?![\w.-])", lambda _: after.encode(), content)
    with replacing(target) as stream:
        stream.write(content)


def _holds(source: Path, text: str) -> bool:
    return source.suffix in _TEXT and text.encode() in source.read_bytes()


def _link_folder(source: Path, target: Path) -> None:
    """Make `target` a copy of the folder, whose files are hard links where the file system has them."""
    # one process at a time makes `target`: what others have left there was killed
    for left in target.parent.glob(f"{glob.escape(target.name)}.*.tmp"):
        shutil.rmtree(left, ignore_errors=True)
    work = target.with_name(f"{target.name}.{os.getpid()}.tmp")
    shutil.copytree(source, work, copy_function=_link)
    shutil.rmtree(target, ignore_errors=True)
    work.rename(target)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copy2(source, target)
