"""Folders and hub names of models and adapters, looked at before and after a library fails to load one (all steps)."""
