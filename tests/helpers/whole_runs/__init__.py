"""Whole runs through papermill in little time: on small public files, and without imports in each process."""
