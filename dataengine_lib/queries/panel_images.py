"""Step 2: the images of a panel's sets, which count as evaluation images: no query may ask about one."""

import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from dataengine_lib.core.bad_rows import BadRow, BadRows
from dataengine_lib.core.records import UNKNOWN_IMAGE
from dataengine_lib.images.references import ImageRef, locate, locate_all
from dataengine_lib.questions.evaluation_images import read_image_refs
from dataengine_lib.questions.question_sets import QuestionSet


def panel_images(
    panel: Mapping[str, QuestionSet],
    evaluation_root: Path,
    max_bad_share: float,
    warn: Callable[[str], object],
) -> dict[ImageRef, str]:
    """Every image of the panel that is found, with its path relative to `evaluation_root`; it may begin with `..`.

    The references hold no id: a set's ids are those of its own folder, and COCO's numbers stand in the paths. Images that
    are not found are counted for `warn`. Raises DataEngineError when a file cannot be read, or more than `max_bad_share`
    of a set's images are not found.
    """
    found: dict[ImageRef, str] = {}
    # without links: `..` after a link leads to the folder above its target
    start = evaluation_root.resolve()
    for name, one in panel.items():
        root = one.image_root
        refs = read_image_refs(one.questions, root, max_bad_share, warn)
        paths, missing = locate_all(refs, partial(locate, root=root))
        bad = BadRows(one.questions, max_bad_share, len(refs), remedy=f"check panel.{name}")
        bad.add(*(BadRow("an image", reason, "image not found") for reason in missing.values()))
        bad.check()
        for line in bad.warnings():
            warn(f"panel.{name}: {line}")
        for path in paths.values():
            seen = os.path.relpath(root.resolve() / path, start)
            found[ImageRef(UNKNOWN_IMAGE, seen)] = seen
    return found
