"""A student in vLLM's offline engine (step 1): loaded into this process, asked in chats, read by first token or as text."""
