"""Text that a model wrote, read. parse reads a teacher's QA, from JSON (qa_json) or by its headings (headings,
choices), and one_qa checks it; answer_choice reads which option a student's answer names, type_reply the types of
step 0. drop_reasons lists every way a reply can be lost. Only result_rows and other_datasets open files. Knows no
server, no student and no budget."""
