"""Step 4: how difficult new questions are for the current student, which trains on them in step 5.

`student_check` asks the student, `band` turns its answers into probabilities, outcomes and figures. Knows no other check
of step 4.
"""
