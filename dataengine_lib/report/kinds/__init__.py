"""Step 1's page on yes/no and open-ended questions: the tables of their scores, and how a judge agrees with the rule."""
