"""Progress bars of all steps, and how a notebook's kernel tells the run that executes it how far its step is."""
