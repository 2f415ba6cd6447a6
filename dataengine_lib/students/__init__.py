"""The model under test. loading brings any Hugging Face VLM in, student ranks and writes with
image_kv_cache, prefix_kv_cache or uncached; api_student asks a server."""
