"""One module per step of the loop, each with a Config and one function that runs it. A step knows no notebook, no
run and no report; it reads files, calls the packages below and writes files."""
