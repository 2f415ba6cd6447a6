"""Step 2: the tensors and arrays that a pickle describes, checked against the bytes that the file really holds.

Nothing is allocated until `values` is called, and never more than the file is large.
"""

import math
import re
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from dataengine_lib.embeddings.pickle_reader import Buildable, PickleName

if TYPE_CHECKING:
    import torch

_MOST_DIMENSIONS = 8
# bytes of one number, by the class that a pickle names; the torch dtype is the attribute behind it
_STORAGES = {
    "FloatStorage": (4, "float32"),
    "HalfStorage": (2, "float16"),
    "BFloat16Storage": (2, "bfloat16"),
    "DoubleStorage": (8, "float64"),
    "LongStorage": (8, "int64"),
    "IntStorage": (4, "int32"),
    "ShortStorage": (2, "int16"),
    "CharStorage": (1, "int8"),
    "ByteStorage": (1, "uint8"),
    "BoolStorage": (1, "bool"),
}
STORAGE_NAMES = frozenset(PickleName("torch", name) for name in _STORAGES)
# bool, signed and unsigned integers, floats: f4, i8, b1
_NUMBER_DTYPE = re.compile(r"b1|[iu][1248]|f[248]")


class Storage:
    """The numbers that tensors are views of; `data` may be given after the pickle was read."""

    def __init__(self, kind: str, count: int) -> None:
        """Raises ValueError for a number that is no count."""
        self.itemsize, self._dtype = _STORAGES[kind]
        self.count = _natural(count)
        self._data: bytes | None = None
        self._tensor: torch.Tensor | None = None

    @property
    def nbytes(self) -> int:
        """How many bytes the storage says it has."""
        return self.count * self.itemsize

    def fill(self, data: bytes) -> None:
        """Take the numbers. Raises ValueError when they are not as many as the pickle says."""
        if len(data) != self.nbytes:
            raise ValueError(f"{len(data)} bytes of numbers where {self.nbytes} should be")
        self._data = data

    def tensor(self) -> "torch.Tensor":
        """All numbers, `(count,)`, on the CPU."""
        import torch

        if self._tensor is None:
            dtype = getattr(torch, self._dtype)
            if self._data is None:
                raise ValueError("numbers that the file does not hold")
            # bytearray, since torch warns about memory that is read-only
            self._tensor = (
                torch.frombuffer(bytearray(self._data), dtype=dtype)
                if self.count
                else torch.empty(0, dtype=dtype)
            )
            self._data = None
        return self._tensor


class StoredTensor:
    """A view of a storage, checked to lie inside it and to be no larger than it."""

    def __init__(
        self, storage: Any, offset: Any, size: Any, stride: Any, requires_grad: Any, hooks: Any, *_: Any
    ) -> None:
        """The arguments of torch._utils._rebuild_tensor_v2. Raises ValueError for those that torch does not write."""
        if not isinstance(storage, Storage):
            raise ValueError("a tensor without numbers")
        self._storage, self._offset = storage, _natural(offset)
        self._size, self._stride = _shape(size), _shape(stride)
        if len(self._size) != len(self._stride):
            raise ValueError("a tensor with another number of sizes than of strides")
        count = math.prod(self._size)
        last = self._offset + sum((n - 1) * step for n, step in zip(self._size, self._stride, strict=True))
        if count and (count > storage.count or last >= storage.count):
            raise ValueError("a tensor that is larger than its numbers")

    def values(self) -> "torch.Tensor":
        """The tensor, in its stored precision."""
        return self._storage.tensor().as_strided(self._size, self._stride, self._offset)


class StoredDtype(Buildable):
    """NumPy's dtype of a number; its state holds the byte order."""

    def __init__(self, name: Any, align: Any = False, copy: Any = False) -> None:
        if type(name) is not str or not _NUMBER_DTYPE.fullmatch(name):
            raise ValueError("a NumPy array of something else than numbers")
        self.dtype = np.dtype(name)

    def build(self, state: Any) -> None:
        # (version, byte order, subarray, names, fields, item size, alignment, flags): plain numbers have none but order
        if (
            type(state) is not tuple
            or len(state) not in (8, 9)
            or state[1] not in ("<", ">", "|", "=")
            or state[2:5] != (None, None, None)
        ):
            raise ValueError("a NumPy dtype that is no plain number")
        self.dtype = self.dtype.newbyteorder(state[1])


class StoredArray(Buildable):
    """A NumPy array as its pickles describe it: made empty, then given its state; or made at once of its bytes."""

    def __init__(self, kind: Any, shape: Any, typecode: Any) -> None:
        """The arguments of numpy's _reconstruct, `(ndarray, (0,), b"b")`."""
        self._array: np.ndarray | None = None

    def build(self, state: Any) -> None:
        # (version, shape, dtype, is Fortran order, bytes)
        if type(state) is not tuple or len(state) != 5:
            raise ValueError("a NumPy array in a form that NumPy does not write")
        _, shape, dtype, fortran, data = state
        self._array = _array(data, dtype, shape, "F" if fortran is True else "C")

    @classmethod
    def from_buffer(cls, data: Any, dtype: Any, shape: Any, order: Any, *_: Any) -> "StoredArray":
        """The arguments of numpy's _frombuffer, which pickle protocol 5 uses."""
        made = cls(None, None, None)
        if type(order) is not str or order not in ("C", "F"):
            raise ValueError("a NumPy array in an order that is neither C nor F")
        made._array = _array(data, dtype, shape, cast(Literal["C", "F"], order))
        return made

    def values(self) -> np.ndarray:
        """The array; raises ValueError when it never got its numbers."""
        if self._array is None:
            raise ValueError("a NumPy array without numbers")
        return self._array


def scalar(dtype: Any, data: Any) -> int | float:
    """NumPy's own number type as Python's: keys that came out of an array of ids are such numbers."""
    found: int | float = _array(data, dtype, (), "C").item()
    return found


def latin1_bytes(text: Any, encoding: Any) -> bytes:
    """How pickle protocol 2 writes bytes: as a text of one character a byte."""
    if type(text) is not str or encoding != "latin1":
        raise ValueError("bytes in a form that Python does not write")
    return text.encode("latin1")


def _array(data: Any, dtype: Any, shape: Any, order: Literal["C", "F"]) -> np.ndarray:
    if not isinstance(dtype, StoredDtype) or not isinstance(data, bytes | bytearray):
        raise ValueError("a NumPy array of something else than numbers")
    sizes = _shape(shape)
    if math.prod(sizes) * dtype.dtype.itemsize != len(data):
        raise ValueError("a NumPy array whose shape does not fit its numbers")
    return np.frombuffer(data, dtype=dtype.dtype).reshape(sizes, order=order)


def storage_of(pid: Any) -> tuple[Storage, str]:
    """A new storage and its key, of torch's persistent id `("storage", class, key, device, count)`."""
    # types first: a nested tuple would take forever to hash or to compare
    if type(pid) is not tuple or len(pid) not in (5, 6) or type(pid[1]) is not PickleName:
        raise ValueError("a reference that is no storage")
    if pid[0] != "storage" or pid[1] not in STORAGE_NAMES or type(pid[2]) is not str:
        raise ValueError("a reference that is no storage")
    # a sixth part describes a view of another storage, which torch has not written since version 0.4
    if len(pid) == 6 and pid[5] is not None:
        raise ValueError("a storage that is a view of another one, as torch 0.3 wrote them")
    return Storage(pid[1].name, pid[4]), pid[2]


def _natural(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 1 << 62:
        raise ValueError("a size that is no natural number")
    return value


def _shape(sizes: Any) -> tuple[int, ...]:
    if type(sizes) is not tuple or len(sizes) > _MOST_DIMENSIONS:
        raise ValueError("a shape that is no short tuple")
    return tuple(map(_natural, sizes))
