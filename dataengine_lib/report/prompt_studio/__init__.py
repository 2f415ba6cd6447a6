"""Prompt studio: tables of versions and rounds, rules and how they were changed, in the notebook and its report."""
