"""What of a student is trained (step 5): its parts, the layers that get adapters, and the list of what was trained.

Knows models of transformers and peft; it knows nothing of training rows, the loop or checkpoints.
"""
