"""Image vectors. encoder (lazy_encoder, openai_clip) makes them, embed_shards and embed_on_ray run it,
store keeps them, update_store brings a store up to date; import_pth and faiss_file exchange them."""
