"""Scores of yes/no and open-ended questions as the public scripts of MME, POPE, VQAv2, OK-VQA, VizWiz and GQA compute
them, and a judge for free-form answers. Knows no question file and no report."""
