"""Where the checkout is, whose notebooks, parameters and example files are tested."""

from pathlib import Path

PROJECT_ROOT = Path(__file__).resolve().parents[2]
