"""The processes of notebooks (all steps): forked from one that has imported what steps need, where that is possible."""
