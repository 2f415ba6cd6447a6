"""The model under test (steps 1 and 5). `loading` opens any Hugging Face vision-language model, `chat_texts` and
`inputs` make its texts and tensors; `HuggingFaceStudent` ranks options and generates answers through one of four
backends (image_reuse, prefix_kv_cache, uncached, encoder_decoder); `ApiStudent` asks a server,
`VllmStudent` vLLM's engine. Knows no files of questions and no metrics."""
