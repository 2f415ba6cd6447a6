"""An image read once for all its questions, for families that image_kv_cache.py does not know (step 1): by its keys and
values where what follows the image cannot change them, else by what the vision tower makes of it."""
