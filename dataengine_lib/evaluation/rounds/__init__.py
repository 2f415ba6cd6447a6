"""Step 6: rounds compared on the questions that all of them answered: pairs, comparison, figures and summary."""
