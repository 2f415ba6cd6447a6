"""One module per step of the loop, each with a Config and one function that runs it."""
