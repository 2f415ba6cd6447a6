"""A report as one file to send (verb `bundle`): its pages, the data files that they name, hashes and parameters."""
