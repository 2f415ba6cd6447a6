"""Step 5: a training row as tensors. `conversation_tokens` says which tokens of a conversation are learnt, `batches`
joins rows with and without an image. Knows no files of rows and no data sets."""
