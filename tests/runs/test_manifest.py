"""Manifests: what counts as changed."""

import os
import shutil
import time
from pathlib import Path

import pytest

import dataengine_lib
from dataengine_lib.core.files import sha256, write_json
from dataengine_lib.runs.manifest import (
    MISSING,
    Digest,
    FileHashes,
    Manifest,
    code_hash,
    identity,
    is_up_to_date,
    notebook_hash,
    read_manifest,
)


def make_old(path: Path) -> None:
    """Date a file a minute back, as if it had been there for a while."""
    before = path.stat()
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns - 60_000_000_000))


def test_hashes_are_of_contents(tmp_path: Path) -> None:
    hashes = FileHashes(tmp_path / "hashes.json")
    file = tmp_path / "a.txt"
    assert hashes.of(file) == MISSING
    file.write_text("one")
    assert hashes.of(file) == sha256(file)
    file.write_text("two")  # same size, perhaps within the same tick of the clock
    assert hashes.of(file) == sha256(file)


def test_an_unchanged_file_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("a.jpg", "b.jpg"):
        (folder / name).write_text(name)
        make_old(folder / name)
    hashes = FileHashes(tmp_path / "hashes.json")
    before = hashes.of(folder)
    hashes.save()
    read: list[Path] = []
    monkeypatch.setattr("dataengine_lib.runs.manifest.sha256", lambda path: read.append(path) or "new")
    later = FileHashes(tmp_path / "hashes.json")
    assert later.of(folder) == before
    assert read == []
    (folder / "b.jpg").write_text("other")
    assert later.of(folder) == "new"
    assert read == [folder]


def test_a_file_that_was_replaced_with_an_older_one_of_its_size_is_read_again(tmp_path: Path) -> None:
    """`cp -p`, `tar` and `rsync -t` keep the time of the last change, and so does a clock that was set back."""
    file = tmp_path / "a.txt"
    file.write_text("one")
    make_old(file)
    hashes, before = FileHashes(tmp_path / "hashes.json"), file.stat()
    first = hashes.of(file)
    file.write_text("two")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert hashes.of(file) == sha256(file) != first


@pytest.mark.parametrize("days", [-30_000, 30_000])
def test_whatever_the_clock_says_hashes_are_of_contents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    file = tmp_path / "a.txt"
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + days * 86_400)
    hashes = FileHashes(tmp_path / "hashes.json")
    for text in ("one", "two"):
        file.write_text(text)
        assert hashes.of(file) == hashes.of(file) == sha256(file)


def test_without_readable_stored_hashes_files_are_hashed_again(tmp_path: Path) -> None:
    stored = tmp_path / "hashes.json"
    stored.write_text("{torn")
    assert FileHashes(stored).of(stored) == sha256(stored)


def test_identity_counts_contents_and_parameters_not_paths(tmp_path: Path) -> None:
    def mark(
        path: str = "a/x.json", contents: str = "1", text: str = "t", notebook: str = "n", code: str = "c"
    ) -> str:
        return identity("evaluate", notebook, code, {"text": text}, {"input": [Digest(path, contents)]})

    assert mark() == mark(path="b/x.json")
    others = [mark(contents="2"), mark(text="u"), mark(notebook="m"), mark(code="d")]
    assert len({mark(), *others}) == 5


def test_a_step_with_changed_outputs_is_not_up_to_date(tmp_path: Path) -> None:
    output = tmp_path / "out.json"
    output.write_text("[]")
    manifest = Manifest(
        step="1_evaluate",
        identity="same",
        started="",
        seed=0,
        parameters={},
        inputs={},
        outputs=[Digest("out.json", sha256(output))],
        notebook_sha256="",
        code_sha256="",
        versions={},
    )
    file = write_json(tmp_path / "1_evaluate.manifest.json", manifest)
    read = read_manifest(file)
    assert read == manifest
    hashes = FileHashes(tmp_path / "hashes.json")
    assert is_up_to_date(read, "same", tmp_path, hashes)
    assert not is_up_to_date(read, "other", tmp_path, hashes)
    output.write_text("{}")
    assert not is_up_to_date(read, "same", tmp_path, hashes)
    output.unlink()
    assert not is_up_to_date(read, "same", tmp_path, hashes)
    file.write_text("{torn")
    assert read_manifest(file) is None
    assert read_manifest(tmp_path / "none.json") is None


def test_notebook_hash_is_of_the_sources(tmp_path: Path) -> None:
    cell = {"cell_type": "code", "source": ["a = 1\n", "b = 2"], "outputs": []}
    plain = write_json(tmp_path / "plain.ipynb", {"cells": [cell]})
    executed = write_json(tmp_path / "executed.ipynb", {"cells": [cell | {"outputs": [{"text": "x"}]}]})
    changed = write_json(tmp_path / "changed.ipynb", {"cells": [cell | {"source": "a = 2"}]})
    assert notebook_hash(plain) == notebook_hash(executed) != notebook_hash(changed)


def test_code_hash_tells_packages_apart() -> None:
    assert code_hash() == code_hash()
    assert code_hash() != code_hash("playground")


@pytest.mark.parametrize(
    ("module", "counts"),
    [
        ("steps/evaluate.py", True),
        ("queries/sampling.py", True),
        ("core/files.py", True),
        ("resources/prompts/v1.j2", True),
        ("resources/prices.yaml", True),
        ("report/templates/report.html.j2", False),
        ("runs/run.py", False),
        ("widgets/keys.py", False),
    ],
)
def test_code_hash_follows_the_code_that_makes_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, counts: bool
) -> None:
    copy = tmp_path / "library"
    shutil.copytree(Path(dataengine_lib.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr("dataengine_lib.runs.manifest._LIBRARY", copy)
    before = code_hash.__wrapped__()
    (copy / module).write_text("changed = True\n")
    assert (code_hash.__wrapped__() != before) is counts
