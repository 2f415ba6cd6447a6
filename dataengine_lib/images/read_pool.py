"""Step 2: reads an image pool, whichever kind of folder it is; `pool_cache.py` keeps what was read."""

from functools import partial
from pathlib import Path

from dataengine_lib.errors import DataEngineError
from dataengine_lib.images.captioned_folder import captioned_folder_columns, captioned_folder_files
from dataengine_lib.images.coco import coco_columns, coco_files
from dataengine_lib.images.pool import CAPTIONED_FOLDER, COCO, VISUAL_GENOME, ImagePool
from dataengine_lib.images.visual_genome import visual_genome_columns, visual_genome_files

# kind of pool -> (finds its annotation files in a folder, reads them); the first kind that finds files is taken
_READERS = {
    COCO: (coco_files, coco_columns),
    VISUAL_GENOME: (visual_genome_files, visual_genome_columns),
    CAPTIONED_FOLDER: (captioned_folder_files, captioned_folder_columns),
}


def read_pool(
    root: Path, *, min_side: int = 0, min_captions: int = 1, max_bad_share: float = 0.05
) -> ImagePool:
    """The images of a COCO folder, a Visual Genome folder, or a folder of images with captions.

    Images whose shorter side has fewer than `min_side` pixels, or with fewer than `min_captions` captions, are left
    out with that as reason, annotations that cannot be used are left out and counted. The annotations are read once and
    then cached, see `cached_columns`. Raises DataEngineError when none of the three is there, a file is no such file,
    more than `max_bad_share` of its rows cannot be used, one id stands for two images, or no image file is there.
    """
    root = Path(root)
    for kind, (files_of, columns_of) in _READERS.items():
        if files := files_of(root):
            # imported here, since pyarrow makes every step that may read a pool start slower
            from dataengine_lib.images.pool_cache import cached_columns
            from dataengine_lib.images.pool_columns import pool_metadata

            columns = cached_columns(root, kind, files, partial(columns_of, root, files))
            metadata = pool_metadata(columns)
            for left_out in metadata.left_out:
                left_out.check(root, max_bad_share)
            pool = ImagePool(root, metadata, columns)
            if not len(pool):
                raise DataEngineError(f"{', '.join(map(str, files))}: names no image; correct or replace it")
            pool.keep_only(min_side, min_captions)
            return pool
    raise DataEngineError(
        f"{root}: no instances_*.json and captions_*.json in annotations/ (COCO), no region_descriptions.json with "
        "image_data.json (Visual Genome), no metadata.jsonl, metadata.csv or captions.json (a folder of images); "
        "give a folder with one of these"
    )
