"""What a person clicks in JupyterLab, over all steps: a browser of bad cases, an editor of weights, an explorer of
neighbours, a reviewer of QAs. Beside each form lies a file with what it shows and writes, which needs no browser. Nothing
imports it but notebooks: it runs no step, and its files are read by steps like any other."""
