"""How data_demo/ is made: the example files and the tiny CLIP and LLaVA. Nothing imports it; run with
python -m."""
