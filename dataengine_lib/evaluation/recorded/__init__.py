"""Predictions made elsewhere (our own, A-OKVQA's, lmms-eval's, LLaVA's, VLMEvalKit's), read and joined to the questions."""
