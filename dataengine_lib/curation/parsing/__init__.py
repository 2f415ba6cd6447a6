"""Step 4: the replies of a file as QAs with an id each, without repeats; large files are read by a second process."""
