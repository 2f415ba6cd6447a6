"""Whole runs of small public files through papermill, in little time."""
