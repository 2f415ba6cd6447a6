"""Image files and the pools that hold them. references: how a record names an image and where that file is; decode:
its pixels as a person sees them; coco, coco_rows, visual_genome, captioned_folder: readers; annotation_rows: which of
their rows are left out; pool, pool_columns: the columns they fill; read_pool: reads any of the three; pool_cache: keeps
the columns; copies, perceptual_hash: images that show the same. Knows no questions and no models."""
