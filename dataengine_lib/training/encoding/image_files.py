"""Step 5: the image files of a training: each is checked once before it, and read by the process that makes batches."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from PIL import Image
from torch.utils.data import get_worker_info

from dataengine_lib.errors import DataEngineError
from dataengine_lib.images.decode import read_image
from dataengine_lib.training.encoding.batches import Tensors
from dataengine_lib.training.encoding.text_inputs import Size


class TrainingImageError(DataEngineError):
    """An image that could be read before the training cannot be used any more.

    A DataLoader raises a worker's exception again with a message that begins with the worker's traceback; here the
    traceback is taken off, and the message is one line again.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message.rpartition(f"{type(self).__name__}: ")[2].strip())


class CheckedImages:
    """The size of each image, or why it cannot be read; each file is decoded once, in threads."""

    def __init__(self) -> None:
        self._found: dict[Path, Size | str] = {}

    def check(self, images: Sequence[Path | None]) -> Iterator[Size | str | None]:
        """What is known of each image, in order; None for None. Later ones are decoded in the meantime."""
        new = [path for path in dict.fromkeys(images) if path and path not in self._found]
        readers = ThreadPoolExecutor()
        try:
            found = zip(new, readers.map(_size_or_fault, new), strict=True)
            for path in images:
                while path and path not in self._found:
                    checked, result = next(found)
                    self._found[checked] = result
                yield self._found[path] if path else None
        finally:
            readers.shutdown(cancel_futures=True)  # also when the step ends at a bad row


def _size_or_fault(path: Path) -> Size | str:
    image = read_image(path)
    return image if isinstance(image, str) else image.size


def read_again(path: Path) -> Image.Image:
    """The image of a file that could be read before. Raises TrainingImageError when it no longer can."""
    image = read_image(path)
    if isinstance(image, str):
        raise TrainingImageError(f"{image}; it could be read when the step began")
    return image


class ProcessedImage(NamedTuple):
    """The size of an image and its inputs for the model."""

    size: Size
    pixels: Tensors


class KeptImages:
    """Keeps the images that a process needs again, up to its share of `keep_bytes`.

    The processes of a training and the workers of a DataLoader divide `keep_bytes` among them. An image whose last use
    is over is removed; one that is used once is never kept. Without a plan nothing is kept.
    """

    def __init__(self, keep_bytes: int) -> None:
        self._keep_bytes = keep_bytes
        self._processes = 1
        self._plan: list[list[Path]] = []
        # of this process, from its first batch on
        self._uses_left: Counter[Path] = Counter()
        self._free_bytes = 0
        self._kept: dict[Path, ProcessedImage] = {}

    def plan(self, batches: Iterable[Iterable[Path | None]], processes: int) -> None:
        """The images of each batch, in the order in which this process, one of `processes`, makes the batches."""
        self._processes = processes
        self._plan = [[path for path in batch if path] for batch in batches]
        self._uses_left, self._kept = Counter(), {}

    def begin(self, batch: Sequence[Path | None]) -> None:
        """Say which images the batch shows, before any of them is got; the first one tells where this process begins.

        Worker 1 of 3 makes the batches 1, 4, 7, …, or 101, 104, 107, … of a training that is continued at batch 100.
        """
        if not self._plan:
            return
        shown = [path for path in batch if path]
        if shown not in self._plan:  # a batch for validation
            return
        worker = get_worker_info()
        step = worker.num_workers if worker else 1
        mine = self._plan[self._plan.index(shown) :: step]
        self._uses_left = Counter(path for batch in mine for path in batch)
        self._free_bytes = self._keep_bytes // (step * self._processes)
        self._plan = []  # counted; it is not needed any more

    def get(self, path: Path) -> ProcessedImage | None:
        """The image, where it is kept."""
        return self._kept.get(path)

    def used(self, image: ProcessedImage, path: Path) -> None:
        """Count one use of the image; it is kept when it will be used again and there is room."""
        if path not in self._uses_left:
            return
        self._uses_left[path] -= 1
        size = sum(part.nbytes for part in image.pixels.values())
        if self._uses_left[path] > 0:
            if path not in self._kept and size <= self._free_bytes:
                self._kept[path] = image
                self._free_bytes -= size
            return
        del self._uses_left[path]
        if self._kept.pop(path, None):
            self._free_bytes += size
