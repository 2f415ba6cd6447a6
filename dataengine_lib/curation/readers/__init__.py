"""Step 4: models that answer training questions once more without seeing the answer, sighted or blind.

`second_reader` asks one of them, `reader_prompt` is what it is shown; `agreement` is how well several agree, `spec` holds
the parameters that name them. Knows no check and no count of step 4.
"""
