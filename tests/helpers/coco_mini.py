"""The 80 COCO photos that some tests use; they skip where the folder is absent."""

from project import PROJECT_ROOT

COCO_MINI = PROJECT_ROOT.parent / "shared" / "coco_mini"
