"""Step 1: what a model's vision tower makes of an image is kept for the next questions about it.

For families whose language model, or Q-Former, mixes image and question in both directions: their keys and values cannot be
reused, the tower's features can. Images are known by their pixels, so that no backend has to say which ones it shows.
"""

import hashlib
import inspect
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Self

import torch

_TOWERS = ("vision_model", "vision_tower", "visual")  # how families name it
_MOST_BYTES = 1 << 30  # of features that are kept, by all processes together; the oldest are dropped


class VisionFeatures:
    """The features of the last images; `reused()` makes the tower read only those that are not among them."""

    def __init__(self, tower: Any, most_bytes: int = _MOST_BYTES) -> None:
        self._tower, self._most_bytes = tower, most_bytes
        self._kept: OrderedDict[bytes, Any] = OrderedDict()
        self._bytes = 0

    @classmethod
    def for_model(cls, model: Any, processes: int = 1) -> Self | None:
        """For one of so many processes; None for a model without a vision tower of a known name."""
        found = (getattr(part, name, None) for part in (model, model.base_model) for name in _TOWERS)
        tower = next((one for one in found if one is not None), None)
        return None if tower is None else cls(tower, _MOST_BYTES // processes)

    @contextmanager
    def reused(self) -> Iterator[None]:
        """Within the block the model's passes reuse features. Not for training: nothing is learnt through them."""
        own = self._tower.__dict__.get("forward")  # accelerate sets one where a model is spread over devices
        read = self._tower.forward

        def forward(*args: Any, **kwargs: Any) -> Any:
            # an argument has one name, whether it is given by its place or by its name
            names = _places(read)[: len(args)]
            if len(names) < len(args):
                return read(*args, **kwargs)
            given = dict(zip(names, args, strict=True)) | kwargs
            if "target_sizes" not in given:
                return self._features(read, given)
            pixels = _columns_as_rows(given["pixel_values"])
            return _as_batch(self._features(partial(_read_packed, read), given | {"pixel_values": pixels}))

        self._tower.forward = forward
        try:
            yield
        finally:
            if own is None:
                del self._tower.forward
            else:
                self._tower.forward = own

    def clear(self) -> None:
        """Drop all features."""
        self._kept.clear()
        self._bytes = 0

    def _features(self, read: Any, given: dict[str, Any]) -> Any:
        """What `read`, the tower's own pass, gives for all images of its arguments."""
        sizes = _sizes(given)
        if sizes is None:
            return read(**given)
        keys = [_key(given, sizes, n) for n in range(len(sizes))]
        new = {key: n for n, key in reversed([*enumerate(keys)]) if key not in self._kept}
        order = sorted(new.values())
        found: dict[bytes, Any] = {key: self._kept[key] for key in keys if key in self._kept}
        if order:
            of_new = {name: _part(value, sizes, order) for name, value in given.items()}
            made = read(**of_new)
            new_sizes = [sizes[n] for n in order]
            if not _splits(made, new_sizes):
                return read(**given)
            for place, n in enumerate(order):
                found[keys[n]] = _part(made, new_sizes, [place])
        self._keep(found)
        return _joined([found[key] for key in keys])

    def _keep(self, found: dict[bytes, Any]) -> None:
        for key, features in found.items():
            if key not in self._kept:
                self._bytes += _n_bytes(features)
            self._kept[key] = features
            self._kept.move_to_end(key)
        while self._bytes > self._most_bytes and self._kept:
            self._bytes -= _n_bytes(self._kept.popitem(last=False)[1])


def _places(read: Any) -> list[str]:
    """The names of the arguments that a tower takes by their places."""
    parameters = inspect.signature(read).parameters.values()
    return [one.name for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD]


def _splits(features: Any, sizes: list[int]) -> bool:
    """Whether features can be shared out to images of these sizes: a whole number of rows for each."""
    if isinstance(features, torch.Tensor):
        total = sum(sizes)
        per_image = features.dim() > 0 and len(features) == len(sizes)
        return per_image or (
            features.dim() > 0
            and len(features) >= len(sizes)
            and not any(n * len(features) % total for n in sizes)
        )
    if isinstance(features, dict):
        return all(_splits(inner, sizes) for inner in features.values())
    return not isinstance(features, tuple | list) or all(_splits(inner, sizes) for inner in features)


def _read_packed(read: Any, pixel_values: torch.Tensor, **given: Any) -> Any:
    """What a tower makes of pixels whose rows are columns of patches; its features have one row a patch."""
    made = read(pixel_values=pixel_values.movedim(0, -1)[None], **given)
    return type(made)(**{name: value[0] for name, value in made.items()})


def _columns_as_rows(pixel_values: torch.Tensor) -> torch.Tensor:
    """MiniCPM-V: `(1, channels, patch height, columns of all patches)` as `(columns, channels, patch height)`."""
    return pixel_values[0].movedim(-1, 0)


def _as_batch(features: Any) -> Any:
    """`(patches, …)` as the tower gives it, `(1, patches, …)`."""
    return type(features)(**{name: value[None] for name, value in features.items()})


def _sizes(given: dict[str, Any]) -> list[int] | None:
    """Rows of the pixels that each image has; None where a tensor cannot be split by images."""
    tensors = [value for value in given.values() if isinstance(value, torch.Tensor)]
    # Qwen-VL and MiniCPM-V: the patches of all images, with (time,) height and width of each image or tile
    grid = given.get("grid_thw", given.get("target_sizes"))
    sizes = [1] * len(tensors[0]) if tensors and grid is None else []
    if isinstance(grid, torch.Tensor):
        patches = grid.prod(-1)
        sizes = (patches * (len(tensors[0]) // patches.sum())).tolist()
    splits = all(tensor.dim() and len(tensor) in (sum(sizes), len(sizes)) for tensor in tensors)
    return sizes if sizes and splits else None


def _key(given: dict[str, Any], sizes: list[int], number: int) -> bytes:
    """A digest of all that the tower is given of one image."""
    digest = hashlib.blake2b(digest_size=16)
    for name, value in sorted(given.items()):
        digest.update(f"{name}:".encode())
        part = _part(value, sizes, [number])
        if isinstance(part, torch.Tensor):
            digest.update(f"{tuple(part.shape)} {part.dtype}".encode())
            digest.update(part.contiguous().cpu().view(torch.uint8).numpy().tobytes())
        else:
            digest.update(repr(part).encode())
    return digest.digest()


def _part(value: Any, sizes: list[int], numbers: Sequence[int]) -> Any:
    """What of arguments or features is about some of the images; a tensor's rows are shared out by `sizes`."""
    if isinstance(value, torch.Tensor):
        if len(value) == len(sizes):
            return value[list(numbers)]
        scale, total = len(value), sum(sizes)  # a tower may join patches: 4 to one
        ends = [sum(sizes[: n + 1]) * scale // total for n in numbers]
        starts = [sum(sizes[:n]) * scale // total for n in numbers]
        return torch.cat([value[start:end] for start, end in zip(starts, ends, strict=True)])
    if isinstance(value, dict):  # transformers' ModelOutput
        return type(value)(**{name: _part(inner, sizes, numbers) for name, inner in value.items()})
    if isinstance(value, tuple | list):
        return type(value)(_part(inner, sizes, numbers) for inner in value)
    return value


def _joined(parts: list[Any]) -> Any:
    """The features of images as the tower gives them for all of these images at once."""
    first = parts[0]
    if isinstance(first, torch.Tensor):
        return torch.cat(parts)
    if isinstance(first, dict):
        return type(first)(**{name: _joined([part[name] for part in parts]) for name in first})
    if isinstance(first, tuple | list):
        return type(first)(_joined([part[n] for part in parts]) for n in range(len(first)))
    return first


def _n_bytes(features: Any) -> int:
    if isinstance(features, torch.Tensor):
        return features.numel() * features.element_size()
    if isinstance(features, dict):
        return sum(map(_n_bytes, features.values()))
    return sum(map(_n_bytes, features)) if isinstance(features, tuple | list) else 0
