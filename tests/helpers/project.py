"""Where the checkout is, whose notebooks, parameters and example files are tested."""

from pathlib import Path

PROJECT_ROOT = Path(__file__).resolve().parents[2]
COCO_MINI = PROJECT_ROOT.parent / "shared" / "coco_mini"
"""80 COCO photos with captions and boxes; tests that use them skip where the folder is absent."""
