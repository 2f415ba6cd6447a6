"""Step 2: reads a file of tensors or arrays in any form that torch or pickle writes, without running anything in it.

| form | what it is |
|---|---|
| pickle | one pickle; a tensor's numbers are a file of the legacy form inside it |
| legacy | torch.save before 1.6: a magic number, a version, the system, the object, the keys: five pickles; then numbers |
| zip | torch.save since 1.6: `NAME/data.pkl`, and `NAME/data/KEY` for each storage |
| TorchScript | a zip file whose pickle names classes of its own; their code is never opened |
"""

import collections
import io
import zipfile
from pathlib import Path
from typing import Any

from dataengine_lib.core.torch_loading import tensor_file_errors
from dataengine_lib.embeddings.pickle_reader import Builder, PickleName, PickleReader
from dataengine_lib.embeddings.stored_tensors import (
    STORAGE_NAMES,
    Storage,
    StoredArray,
    StoredDtype,
    StoredTensor,
    latin1_bytes,
    scalar,
    storage_of,
)

_TORCH_MAGIC = 0x1950A86A20F9469CFC6C  # first object of a file by torch.save before version 1.6
# torch and NumPy write their numbers as they are; a file packed by hand is at most this much smaller
_MOST_GROWTH, _SMALL = 8, 1 << 20


def read_tensor_file(file: Path, what: str) -> Any:
    """The content, with StoredTensor and StoredArray for tensors and arrays, and ModuleState for TorchScript's modules.

    `what` is the kind of file for messages. Parts may be shared, so the content must not be walked without a limit.
    Raises DataEngineError, one line, for a file that cannot be read or holds anything else.
    """
    with tensor_file_errors(file, what):
        with file.open("rb") as stream:
            if zipfile.is_zipfile(stream):
                with zipfile.ZipFile(stream) as archive:
                    return _read_archive(archive, file.stat().st_size)
        return _read_pickles(io.BytesIO(file.read_bytes()))


def _parameter(tensor: Any, *_: Any) -> StoredTensor:
    if not isinstance(tensor, StoredTensor):
        raise ValueError("a parameter that is no tensor")
    return tensor


def _empty_dict(*items: Any) -> dict[Any, Any]:
    if items:
        raise ValueError("an ordered dict in a form that torch does not write")
    return {}


def _inner_storage(data: Any) -> Storage:
    """A storage of a plain pickle: the bytes are a whole file of the legacy form."""
    if not isinstance(data, bytes):
        raise ValueError("a storage that is no bytes")
    stream = io.BytesIO(data)
    if PickleReader({}).read(stream) != _TORCH_MAGIC:
        raise ValueError("a storage that torch did not write")
    found = _read_legacy(stream)
    if not isinstance(found, Storage):
        raise ValueError("a storage that holds something else")
    return found


_TENSOR_BUILDERS: dict[PickleName, Builder] = {
    PickleName("collections", "OrderedDict"): _empty_dict,
    PickleName("torch._utils", "_rebuild_tensor_v2"): StoredTensor,
    PickleName("torch._utils", "_rebuild_parameter"): _parameter,
}
# names in a plain pickle, by versions of torch and NumPy
_PICKLE_BUILDERS = _TENSOR_BUILDERS | {
    PickleName("torch.storage", "_load_from_bytes"): _inner_storage,
    PickleName("numpy", "dtype"): StoredDtype,
    PickleName("_codecs", "encode"): latin1_bytes,
}
for _core in ("numpy.core", "numpy._core"):
    _PICKLE_BUILDERS |= {
        PickleName(f"{_core}.multiarray", "_reconstruct"): StoredArray,
        PickleName(f"{_core}.multiarray", "scalar"): scalar,
        PickleName(f"{_core}.numeric", "_frombuffer"): StoredArray.from_buffer,
    }
_PICKLE_NAMES = frozenset({PickleName("numpy", "ndarray")})
# typed lists of TorchScript are given as they are
_SCRIPT_BUILDERS = _TENSOR_BUILDERS | {
    PickleName("torch.jit._pickle", f"build_{kind}list"): lambda values: values
    for kind in ("int", "double", "bool", "tensor")
}


def _read_pickles(stream: io.BytesIO) -> Any:
    content = PickleReader(_PICKLE_BUILDERS, _PICKLE_NAMES).read(stream)
    return _read_legacy(stream) if content == _TORCH_MAGIC else content


def _read_legacy(stream: io.BytesIO) -> Any:
    """What follows the magic number: version, system, the object, the storages' keys, and their numbers."""
    storages: dict[str, Storage] = {}

    def storage(pid: Any) -> Storage:
        made, key = storage_of(pid)
        known = storages.setdefault(key, made)
        if known.nbytes != made.nbytes:
            raise ValueError("one storage of two sizes")
        return known

    plain = PickleReader({})
    version, system = plain.read(stream), plain.read(stream)
    if version != 1001 or type(system) is not dict or system.get("little_endian") is not True:
        raise ValueError("another version of torch's format, or numbers of a big-endian machine")
    content = PickleReader(_TENSOR_BUILDERS, STORAGE_NAMES, storage).read(stream)
    keys = plain.read(stream)
    for key in keys if type(keys) is list else []:
        count = int.from_bytes(stream.read(8), "little")  # in front of the numbers
        found = storages.get(key) if type(key) is str else None
        if found is None or found.count != count:
            raise ValueError("a storage of another size than its tensors say")
        found.fill(stream.read(found.nbytes))
    return content


def _read_archive(archive: zipfile.ZipFile, size: int) -> Any:
    """Of torch.save's zip file or a TorchScript archive of `size` bytes."""
    members = collections.Counter({entry.filename: entry.file_size for entry in archive.infolist()})
    if sum(entry.file_size for entry in archive.infolist()) > _MOST_GROWTH * size + _SMALL:
        raise ValueError(f"it grows to {members.total()} bytes when it is unpacked")
    pickles = [name for name in members if name.endswith("/data.pkl") and name.count("/") == 1]
    if len(pickles) != 1:
        raise ValueError("a zip file without data.pkl, so torch did not write it")
    top = pickles[0].partition("/")[0]
    if f"{top}/byteorder" in members and archive.read(f"{top}/byteorder") != b"little":
        raise ValueError("numbers of a big-endian machine")
    # only TorchScript archives have constants.pkl
    script = f"{top}/constants.pkl" in members
    storages: dict[str, Storage] = {}

    def storage(pid: Any) -> Storage:
        made, key = storage_of(pid)
        if key not in storages:
            member = f"{top}/data/{key}"
            if member not in members:
                raise ValueError(f"the numbers of storage {key[:40]} are missing")
            made.fill(archive.read(member))
            storages[key] = made
        return storages[key]

    reader = PickleReader(
        _SCRIPT_BUILDERS if script else _TENSOR_BUILDERS, STORAGE_NAMES, storage, modules=script
    )
    return reader.read(io.BytesIO(archive.read(pickles[0])))
