"""Steps 2 and 4: finds images that are copies of evaluation images, also mirrored, cropped, gray, framed or turned ones."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from dataengine_lib.core.machine.forks import ForkEnded, in_forks, processes_on_cores
from dataengine_lib.core.progress.bar import progress_bar
from dataengine_lib.core.written_files.whole_file import replacing
from dataengine_lib.errors import DataEngineError
from dataengine_lib.images.decode import decode_image
from dataengine_lib.images.perceptual_hash import WORDS, candidate_hashes, evaluation_hashes

COPY = "copy of an evaluation image"
HASH_FILE = "image_hashes.npz"  # the name of the cache in the folder of embeddings
# Bits of 256 in which the hashes of an image and of its copy differ at most. Measured on 40 photos: copies that were
# mirrored, flipped, blurred, gray, brighter, framed, cut to 80 % of their sides or turned by up to 10 degrees differed
# in 28 bits at most, other photos in 88 at least. Drawn scenes look more alike: copies up to 30, and 3 of 3,000 other
# scenes were within 30 of one of 847.
_COPY_BITS = 30
# In the first word, the lowest vertical frequencies: only hashes that are this near there are compared as a whole.
_FIRST_WORD_BITS = 20
_SHARED_OUT_FROM = 32  # images; fewer are hashed in less time than it takes to copy the process
_CACHE_VERSION = 2  # raise it when the same image no longer gives the same hashes

_T = TypeVar("_T")


@dataclass(frozen=True)
class _Picture:
    """What is kept of an image file: a digest of its bytes, and hashes uint64 `(n, 4)` of what it shows."""

    digest: str
    hashes: np.ndarray


class CopyFinder:
    """The images of an evaluation set, with which other images are compared.

    Two images are the same if their files have the same bytes or if what they show is nearly the same (see
    `perceptual_hash`). `cache` is a file that keeps hashes by path, size and time of change; `save` writes it.
    `compared` is the number of evaluation images that could be read.
    """

    def __init__(self, evaluation: Iterable[Path], cache: Path | None = None) -> None:
        self._cache = _HashCache(cache)
        digests: dict[str, Path] = {}
        hashes, owners, files = [np.empty((0, WORDS), np.uint64)], [np.empty(0, np.int64)], list[Path]()
        paths = list(dict.fromkeys(evaluation))
        read = self._cache.read_all(paths, "evaluation", lambda picture: picture)
        bar = progress_bar(
            read, total=len(paths), desc="hashing evaluation images", unit="image", leave=False
        )
        for path, picture in zip(paths, bar, strict=True):
            if picture is None:
                continue
            digests.setdefault(picture.digest, path)
            hashes.append(picture.hashes)
            owners.append(np.full(len(picture.hashes), len(files)))
            files.append(path)
        self.compared = len(files)
        self._digests, self._files = digests, files
        self._hashes, self._owners = np.concatenate(hashes), np.concatenate(owners)
        self._first_words = self._hashes[:, 0].copy()  # side by side in memory

    def original(self, path: Path) -> Path | None:
        """The evaluation image that the image in `path` is a copy of; None if there is none or it cannot be read."""
        return next(self.originals([path]))

    def originals(self, paths: Sequence[Path]) -> Iterator[Path | None]:
        """As `original`, of many images in their order, which are hashed on all cores."""
        return self._cache.read_all(paths, "candidate", self._original_of)

    def _original_of(self, picture: _Picture) -> Path | None:
        if same := self._digests.get(picture.digest):
            return same
        for one in picture.hashes:
            near = np.flatnonzero(np.bitwise_count(self._first_words ^ one[0]) <= _FIRST_WORD_BITS)
            bits = np.bitwise_count(self._hashes[near] ^ one).sum(axis=1, dtype=np.int64)
            if len(bits) and bits.min() <= _COPY_BITS:
                return self._files[int(self._owners[near[bits.argmin()]])]
        return None

    def save(self) -> None:
        """Write the hashes to the cache file, if there is one and something is new."""
        self._cache.save()


class _HashCache:
    """Hashes of image files by kind, path, size and time of change, so that an image is read once for all steps.

    The file is only a cache: one that is damaged or of another version is made anew.
    """

    def __init__(self, file: Path | None) -> None:
        self.file, self._known, self._is_new = file, dict[str, _Picture](), False
        if file is not None and file.is_file():
            self._load(file)

    def read_all(
        self, paths: Sequence[Path], kind: str, find: Callable[[_Picture], _T | None]
    ) -> Iterator[_T | None]:
        """What `find` finds in the hashes of image files, in their order; None for a file that cannot be read.

        The hashes are `evaluation` or `candidate` ones. The work on files that are not known is shared out among the
        cores.
        """

        def hashed(path: Path) -> tuple[_Picture, _T | None] | None:
            picture = _picture(path, kind)
            return (picture, find(picture)) if picture else None

        keys = [self._key(path, kind) for path in paths]
        new = {key: path for path, key in zip(paths, keys, strict=True) if key and key not in self._known}
        processes = processes_on_cores() if len(new) >= _SHARED_OUT_FROM else 1
        with closing(in_forks(hashed, list(new.values()), processes)) as made:
            try:
                for key in keys:
                    if new.pop(key, None) and (result := next(made)):
                        (self._known[key], found), self._is_new = result, True
                        yield found
                    elif known := self._known.get(key):
                        yield find(known)
                    else:
                        yield None
            except ForkEnded as error:
                raise DataEngineError(
                    f"hashing images: {error}, most likely for lack of memory; set OMP_NUM_THREADS to 1 and run again"
                ) from error

    def _key(self, path: Path, kind: str) -> str:
        """The name of an image in the cache; empty for a file that is not there."""
        try:
            state = path.stat()
        except OSError:
            return ""
        return f"{kind}\n{path.absolute()}\n{state.st_size}\n{state.st_mtime_ns}"

    def save(self) -> None:
        if self.file is None or not self._is_new:
            return
        pictures = self._known.values()
        with replacing(self.file) as stream:
            np.savez(
                stream,
                version=np.array(_CACHE_VERSION),
                keys=np.array(list(self._known), dtype=np.str_),
                digests=np.array([one.digest for one in pictures], dtype=np.str_),
                counts=np.array([len(one.hashes) for one in pictures], dtype=np.int64),
                hashes=np.concatenate([one.hashes for one in pictures]),
            )
        self._is_new = False

    def _load(self, file: Path) -> None:
        try:
            with np.load(file, allow_pickle=False) as saved:
                if int(saved["version"]) != _CACHE_VERSION:
                    return
                keys, digests = saved["keys"].tolist(), saved["digests"].tolist()
                parts = np.split(saved["hashes"].astype(np.uint64), np.cumsum(saved["counts"])[:-1])
        except Exception:  # whatever zip, numpy or the contents raise: every image is read once more
            return
        if len(keys) == len(digests) == len(parts) and all(part.shape[1:] == (WORDS,) for part in parts):
            self._known = {
                key: _Picture(digest, part) for key, digest, part in zip(keys, digests, parts, strict=True)
            }


def _picture(path: Path, kind: str) -> _Picture | None:
    """The digest and hashes of an image file; None when it cannot be read."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    image = decode_image(content)
    if isinstance(image, str):
        return None
    make = evaluation_hashes if kind == "evaluation" else candidate_hashes
    return _Picture(hashlib.blake2b(content, digest_size=16).hexdigest(), make(image))
