"""Step 5: a training row as tensors. `conversation_tokens` says which tokens are learnt, `text_inputs` counts those of
an image by its size, `image_files` checks, reads and keeps images, `batches` joins rows. Knows no data sets."""
