"""The parts of the prompt studio: its session, which needs no browser, and its form. Knows nothing of the other forms.
`widgets/prompt_studio.py` shows them."""
