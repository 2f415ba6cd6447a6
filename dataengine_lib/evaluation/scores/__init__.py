"""Step 1: scores of yes/no and open-ended questions, as the public scripts of MME, POPE, VQAv2, OK-VQA, VizWiz and GQA
compute them. Knows no question file and no report."""
