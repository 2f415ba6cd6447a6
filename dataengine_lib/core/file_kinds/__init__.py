"""What a file is when it is not what a step reads (all steps): recognised by its content, and named with a remedy."""
