"""How data_demo/ is made: data_demo runs the loop for the example files; train makes the tiny CLIP and LLaVA
(tiny_models: their shapes, lessons: their training texts, train_tower and train_llava: the stages, update_step: what
these share). Nothing imports it; run data_demo and train with python -m."""
