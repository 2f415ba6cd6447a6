"""Image vectors (step 2). encoder makes them (pixels prepares images, openai_clip and clip_checkpoint load OpenAI's
format, lazy_encoder loads late); embed_shards and embed_on_ray run it, finished_shards keeps what is done, store
holds the vectors and searches them, update_store brings a store up to date; import_pth and faiss_file exchange
vectors. Knows no questions, no captions and no boxes."""
