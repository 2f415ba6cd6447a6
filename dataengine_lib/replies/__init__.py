"""Text that a model wrote, read. json_reply and parse read a teacher's QA, answer_choice reads which option
a student named; drop_reasons lists every way a reply can be lost. No file is opened here."""
