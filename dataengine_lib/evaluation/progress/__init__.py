"""Step 1: what each question type has gained from the QAs of earlier rounds, and what that says about the next ones.

It reads evaluations and training data of earlier rounds; it knows nothing of students, queries and reports.
"""
