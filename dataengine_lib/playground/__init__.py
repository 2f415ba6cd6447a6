"""The offline world of demo and tests: scenes, their drawings (drawing/), captions, questions, and a
scripted teacher behind a local OpenAI-compatible server."""
