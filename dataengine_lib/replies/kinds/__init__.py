"""Step 4: QAs that are not multiple choice: a yes/no question, and an open-ended one with a short answer."""
