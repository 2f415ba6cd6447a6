"""Tests of files of tensors that were made to do harm: each is one true line, at once and within little memory."""

import io
import pickle
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from dataengine_lib.embeddings.clip_checkpoint import read_checkpoint
from dataengine_lib.embeddings.import_pth import import_embeddings
from dataengine_lib.errors import DataEngineError


class Call:
    """Pickled as a call of `function`, with `state` set on what it returns."""

    def __init__(self, function: object, *arguments: object, state: object = None) -> None:
        self.reduced = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self):  # type: ignore[no-untyped-def]
        return self.reduced


def nested_pairs(depth: int = 60) -> bytes:
    """Opcodes of `pair = (pair, pair)`, `depth` times: 2**depth parts when it is walked through."""
    return b")" + b"".join(b"q" + bytes([place]) + b"h" + bytes([place]) + b"\x86" for place in range(depth))


def zipped(data: bytes, numbers: bytes = bytes(64), compression: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        archive.writestr("a/data.pkl", data)
        archive.writestr("a/data/0", numbers)
    return stream.getvalue()


def tensor(size: bytes, stride: bytes, count: bytes = b"K\x10", kind: bytes = b"FloatStorage") -> bytes:
    """Opcodes of a tensor of float32 numbers."""
    storage = (
        b"(X\x07\x00\x00\x00storagectorch\n"
        + kind
        + b"\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu"
        + count
        + b"tQ"
    )
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"K\x00" + size + stride + b"\x89}tR"


def pair(value: bytes) -> bytes:
    """A whole pickle of `{1: value}`."""
    return b"\x80\x02}K\x01" + value + b"s."


BILLION = b"J" + struct.pack("<i", 10**9)
ONE = b"K\x01K\x04\x86"
OBJECTS = Call(np.ndarray, (1,), np.dtype("O"), b"AAAAAAAA")
FIELDS = Call(np.dtype, "V8", state=(3, "|", None, ("a",), {"a": (np.dtype("O"), 0)}, 8, 1, 0))

# name: (bytes of the file, what the message says)
ATTACKS: dict[str, tuple[Callable[[], bytes], str]] = {
    "an object of chosen bytes": (lambda: pickle.dumps({1: OBJECTS}), "something else than numbers"),
    "an array of objects": (lambda: pickle.dumps({1: np.array([None])}), "something else than numbers"),
    "a dtype with objects in fields": (lambda: pickle.dumps({1: FIELDS}), "something else than numbers"),
    "a dtype whose state makes it objects": (
        lambda: pickle.dumps({1: Call(np.dtype, "f8", state=(3, "|", None, ("a",), {}, 8, 1, 0))}),
        "no plain number",
    ),
    "an array larger than its bytes": (
        lambda: pickle.dumps({1: np.ones(4)}).replace(b"K\x04\x85", BILLION + b"\x85"),
        "shape does not fit its numbers",
    ),
    "a place in the memo beyond all memory": (
        lambda: b"\x80\x02}r\xff\xff\xff\x7f.",
        "holds no {image_id: vector} pairs",
    ),
    "nested pairs as a key": (lambda: b"\x80\x02}" + nested_pairs() + b"K\x01s.", "neither a text nor a whole"),
    "nested pairs as a vector": (lambda: pair(nested_pairs()), "neither a tensor nor an array"),
    "nested pairs as a size": (lambda: zipped(pair(tensor(nested_pairs(), ONE))), "no natural number"),
    "nested pairs as a storage": (
        lambda: zipped(pair(nested_pairs() + b"Q")),
        "a reference that is no storage",
    ),
    "nested pairs as a name": (lambda: b"\x80\x04" + nested_pairs() + b"h\x01\x93.", "a name that is no text"),
    "a tensor that repeats one number": (
        lambda: zipped(pair(tensor(BILLION + b"\x85", b"K\x00\x85"))),
        "larger than its numbers",
    ),
    "a tensor behind its numbers": (lambda: zipped(pair(tensor(ONE, b"K\x10K\x10\x86"))), "larger than its numbers"),
    "a negative size": (lambda: zipped(pair(tensor(b"J\xff\xff\xff\xff\x85", b"K\x01\x85"))), "no natural number"),
    "a storage of a billion": (lambda: zipped(pair(tensor(ONE, ONE, BILLION))), "64 bytes of numbers where 4000000000"),
    "a zip file that grows": (
        lambda: zipped(pair(tensor(ONE, ONE)), bytes(200_000_000), zipfile.ZIP_DEFLATED),
        "it grows to 200000",
    ),
    "a text of two gigabytes": (lambda: b"\x80\x04B\xff\xff\xff\x7fabc", "expected 2147483647 bytes"),
    "lists in lists": (lambda: b"\x80\x02" + b"(" * 100_000 + b".", "nested too deep"),
    "an empty stack": (lambda: b"\x80\x020.", "opcode POP"),
    "words": (lambda: b"not a pickle", "not a readable pickle"),
}  # fmt: skip

_READ_ALL = """
import sys
from pathlib import Path
from dataengine_lib.embeddings.clip_checkpoint import read_checkpoint
from dataengine_lib.embeddings.import_pth import import_embeddings
from dataengine_lib.errors import DataEngineError
for file in sorted(Path(sys.argv[1]).glob("*.pth"), key=lambda file: int(file.stem)):
    for read in (lambda: import_embeddings(file, Path(sys.argv[1]) / "store"), lambda: read_checkpoint(file)):
        try:
            read()
            print("read")
        except DataEngineError as error:
            print(error)
# the peak of this program alone, kB; that of all children would count other tests' as well
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def test_hostile_files_are_one_true_line_each(tmp_path: Path) -> None:
    for number, (make, _) in enumerate(ATTACKS.values()):
        (tmp_path / f"{number}.pth").write_bytes(make())
    # bounds of address space and of time: a file that is not stopped would take all of this machine
    run = subprocess.run(
        ["bash", "-c", 'ulimit -v 8000000; exec "$@"', "-", sys.executable, "-c", _READ_ALL, str(tmp_path)],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    *lines, peak = run.stdout.splitlines()
    assert len(lines) == 2 * len(ATTACKS)
    for (name, (_, reason)), line, other in zip(ATTACKS.items(), lines[::2], lines[1::2], strict=True):
        assert reason in line and "run code" not in line, (name, line)
        assert ".pth: " in other and "run code" not in other, (name, other)
    # torch alone takes 300 to 700 MB
    assert int(peak) < 1_500_000


def test_numbers_of_every_kind_are_read(tmp_path: Path) -> None:
    arrays = [np.array([3, 0, 4], dtype=kind) for kind in ("f2", "f4", ">f8", "i1", "u2", "<i4", "i8")]
    arrays.append(np.array([[3.0], [0.0], [4.0]]).T)
    for protocol in (2, 4, 5):
        (tmp_path / "e.pth").write_bytes(
            pickle.dumps({np.int64(n): array for n, array in enumerate(arrays)}, protocol)
        )
        made = import_embeddings(tmp_path / "e.pth", tmp_path / "store")
        assert made.ids.tolist() == list(range(8))
        assert made.vectors.tolist() == [pytest.approx([0.6, 0, 0.8])] * 8
    for kind in (torch.float64, torch.bfloat16, torch.int16, torch.uint8):
        torch.save({1: torch.tensor([[3, 0, 4]], dtype=kind)}, tmp_path / "e.pth")
        assert import_embeddings(tmp_path / "e.pth", tmp_path / "store").vectors[0] == pytest.approx(
            [0.6, 0, 0.8]
        )


def test_views_of_one_storage_and_shared_tensors_are_read(tmp_path: Path) -> None:
    whole = torch.arange(12.0).reshape(3, 4).T
    content = {"a": whole, "b": whole[1:3, 1], "c": torch.nn.Parameter(whole)}
    for zipfile_form in (True, False):
        torch.save(content, tmp_path / "m.pt", _use_new_zipfile_serialization=zipfile_form)
        found = read_checkpoint(tmp_path / "m.pt")
        assert [torch.equal(found[name], content[name]) for name in "abc"] == [True] * 3


def test_vectors_larger_than_the_file_are_refused(tmp_path: Path) -> None:
    """One vector of a million numbers under a hundred ids: each is inside the file, all together are not."""
    vector = torch.ones(1_000_000)
    torch.save(dict.fromkeys(range(100), vector), tmp_path / "e.pth")
    with pytest.raises(DataEngineError, match=r"e\.pth: key 9: its vectors are larger than the file"):
        import_embeddings(tmp_path / "e.pth", tmp_path / "store")


@pytest.mark.parametrize(
    ("content", "fault"),
    [({1 << 64: torch.ones(2)}, "has more than 64 bits"), ({"x" * 9999: torch.ones(2)}, "key 'xxx"),
     ({1: [[1.0], [2.0]]}, "nor a list of numbers"), ({1: [True]}, "nor a list of numbers")],
)  # fmt: skip
def test_a_fault_of_one_vector_names_its_key(tmp_path: Path, content: object, fault: str) -> None:
    (tmp_path / "e.pth").write_bytes(pickle.dumps(content))
    with pytest.raises(DataEngineError, match=r"e\.pth: key ") as caught:
        import_embeddings(tmp_path / "e.pth", tmp_path / "store")
    assert fault in str(caught.value) and len(str(caught.value)) < 400


def test_a_vector_of_large_numbers_keeps_its_direction(tmp_path: Path) -> None:
    torch.save({1: torch.tensor([3e38, 3e38]), 2: torch.tensor([1e-42, 0.0])}, tmp_path / "e.pth")
    made = import_embeddings(tmp_path / "e.pth", tmp_path / "store")
    assert made.vectors.tolist() == [pytest.approx([0.5**0.5] * 2), [1.0, 0.0]]
