"""What is shown of a run while a step works: on the terminal, in a log, on the run's page."""
