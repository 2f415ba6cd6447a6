"""Step 1: students behind OpenAI-compatible servers."""
