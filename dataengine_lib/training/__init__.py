"""Step 5: what is taught (texts), how sets are mixed, batches, and the fine-tuning itself."""
