"""The offline world: drawn scenes, their questions, and how its tiny models were trained."""
