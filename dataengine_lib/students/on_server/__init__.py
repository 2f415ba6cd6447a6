"""Students behind OpenAI-compatible servers (step 1): asked over HTTP, paid for once, read as text or by first tokens."""
