"""Questions grouped by their images (steps 1 and 4), so that each image is read once and few are held at a time."""

from collections.abc import Iterator, Sequence

from PIL import Image


def image_groups(
    images: Sequence[Image.Image], most: int
) -> Iterator[tuple[list[Image.Image], dict[int, int]]]:
    """(at most `most` distinct images, {index of a question about one of them: that image's place in the group}).

    `images[i]` is that of question i; images are distinct objects, in the order of their first question.
    """
    number: dict[int, int] = {}
    for image in images:
        number.setdefault(id(image), len(number))
    distinct = {number[id(image)]: image for image in images}
    for first in range(0, len(distinct), most):
        group = [distinct[n] for n in range(first, min(first + most, len(distinct)))]
        places = {i: number[id(image)] - first for i, image in enumerate(images)}
        yield group, {i: place for i, place in places.items() if 0 <= place < len(group)}


def same_images(images: Sequence[Image.Image], others: Sequence[Image.Image]) -> bool:
    """Whether both are the same Image objects in the same order."""
    return len(images) == len(others) and all(a is b for a, b in zip(images, others, strict=True))
