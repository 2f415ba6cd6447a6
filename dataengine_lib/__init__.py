"""DataEngine: measure a multimodal LLM, generate data for its weaknesses, fine-tune, measure again."""

from pathlib import Path

__version__ = "0.1.0"

PROJECT_ROOT = Path(__file__).resolve().parents[1]
