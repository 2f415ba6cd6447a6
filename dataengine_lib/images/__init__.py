"""Image files and the pools that hold them. references: how a record names an image and where that file is; decode:
its pixels as a person sees them; coco, visual_genome, captioned_folder: readers; pool, pool_columns: the columns
they fill; read_pool: reads any of the three; pool_cache: keeps the columns. Knows no questions and no models."""
