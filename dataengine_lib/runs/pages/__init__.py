"""Pages that belong to no run: that of a notebook which papermill ran alone. The pages of a run are in `summary`."""
