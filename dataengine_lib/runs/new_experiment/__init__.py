"""`dataengine init`: what a new experiment is made of, checked value by value, and the YAML file that describes it."""
