"""DataEngine: measure a multimodal LLM, generate data for its weaknesses, fine-tune, measure again."""

__version__ = "0.1.0"
