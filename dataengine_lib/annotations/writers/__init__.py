"""One module per family of questions that boxes, captions or regions prove; each turns facts into drafts of QAs."""
