"""How `runs/workflow.py` fills its table of steps: what each placeholder stands for at one place of a run."""
