"""Tests of reading CLIP checkpoints: only tensors are read, and no code in the file is run."""

import os
import pickle
import zipfile
from pathlib import Path

import pytest
import torch

from dataengine_lib.embeddings.clip_checkpoint import read_checkpoint
from dataengine_lib.errors import DataEngineError

pytestmark = [
    pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning"),  # how OpenAI publishes all the same
    pytest.mark.filterwarnings("ignore:Detected pickle protocol"),
]


class Inner(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.proj = torch.nn.Parameter(torch.arange(6.0).reshape(2, 3).half())
        self.blocks = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.LayerNorm(2))


class Model(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.visual = Inner()
        self.register_buffer("context_length", torch.tensor(77))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.visual.blocks(x)


@pytest.mark.parametrize("kind", ["state", "legacy", "script"])
def test_tensors_by_name_in_both_formats(tmp_path: Path, kind: str) -> None:
    torch.manual_seed(0)
    model, file = Model(), tmp_path / "m.pt"
    if kind == "script":
        torch.jit.save(torch.jit.trace(model, torch.zeros(1, 3)), file)
    else:
        torch.save(model.state_dict(), file, _use_new_zipfile_serialization=kind == "state")
    found = read_checkpoint(file)
    assert found.keys() == model.state_dict().keys()
    for name, value in model.state_dict().items():
        assert torch.equal(found[name], value) and found[name].dtype == value.dtype


class Evil:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):  # type: ignore[no-untyped-def]
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("kind", ["pickle", "torch", "legacy", "script"])
def test_code_is_refused_and_not_run(tmp_path: Path, kind: str) -> None:
    file, target = tmp_path / "m.pt", tmp_path / "owned"
    content = {"visual.proj": torch.ones(1), "x": Evil(target)}
    if kind == "pickle":
        file.write_bytes(pickle.dumps(content))
    elif kind == "script":  # as if it were a TorchScript archive
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("m/constants.pkl", b"")
            archive.writestr("m/data.pkl", pickle.dumps(Evil(target)))
    else:
        torch.save(content, file, _use_new_zipfile_serialization=kind == "torch")
    with pytest.raises(DataEngineError, match=r"m\.pt: refused.*could run code") as caught:
        read_checkpoint(file)
    assert "\n" not in str(caught.value)
    assert not target.exists()


def test_an_archive_with_code_run_on_loading_is_only_read(tmp_path: Path) -> None:
    """TorchScript may write files from `__setstate__`; of an archive only the tensors are read."""

    class Writes(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(2))

        @torch.jit.export
        def __getstate__(self):  # type: ignore[no-untyped-def]
            return self.weight, True

        @torch.jit.export
        def __setstate__(self, state: tuple[torch.Tensor, bool]) -> None:
            raise RuntimeError("it was run")

        def forward(self) -> torch.Tensor:
            return self.weight

    torch.jit.save(torch.jit.script(Writes()), tmp_path / "m.pt")
    with pytest.raises(Exception, match="it was run"):
        torch.jit.load(tmp_path / "m.pt")
    with pytest.raises(DataEngineError, match=r"m\.pt"):  # a state of its own is no module of tensors
        read_checkpoint(tmp_path / "m.pt")


@pytest.mark.parametrize("content", [[1, 2], {"state_dict": {"a": torch.ones(1)}}, {"a": "b"}])
def test_a_file_without_state_dict_is_one_clear_line(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "m.pt")
    with pytest.raises(DataEngineError, match="holds no state dict"):
        read_checkpoint(tmp_path / "m.pt")


@pytest.mark.parametrize("data", [b"", b"words", pickle.dumps({"a": 1})[:-4]])
def test_damage_is_one_clear_line(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "m.pt").write_bytes(data)
    with pytest.raises(DataEngineError, match=r"m\.pt: ") as caught:
        read_checkpoint(tmp_path / "m.pt")
    assert "\n" not in str(caught.value)
    with pytest.raises(DataEngineError, match="cannot be read"):
        read_checkpoint(tmp_path / "missing.pt")


def test_a_damaged_archive_is_one_clear_line(tmp_path: Path) -> None:
    file = tmp_path / "m.pt"
    torch.jit.save(torch.jit.trace(Model(), torch.zeros(1, 3)), file)
    with zipfile.ZipFile(file) as whole, zipfile.ZipFile(tmp_path / "cut.pt", "w") as cut:
        for name in whole.namelist():
            if "/data/0" not in name:
                cut.writestr(name, whole.read(name))
    with pytest.raises(DataEngineError, match=r"cut\.pt: not a readable checkpoint"):
        read_checkpoint(tmp_path / "cut.pt")


def test_modules_that_share_modules_are_not_walked_through_for_ever(tmp_path: Path) -> None:
    """Sixty modules, each with the one before as two of its parts: 2**60 names."""
    data = module = b"c__torch__\nM\n)\x81"
    for place in range(60):
        below = b"q" + bytes([place]) + b"X\x01\x00\x00\x00bh" + bytes([place])
        data = module + b"}(X\x01\x00\x00\x00a" + data + below + b"ub"
    with zipfile.ZipFile(tmp_path / "m.pt", "w") as archive:
        archive.writestr("m/data.pkl", b"\x80\x02" + data + b".")
        archive.writestr("m/constants.pkl", b"\x80\x02).")
    with pytest.raises(DataEngineError, match=r"m\.pt: not a readable checkpoint \(more than 100000 parts\)"):
        read_checkpoint(tmp_path / "m.pt")
