"""What a browser does with forms in JupyterLab."""
