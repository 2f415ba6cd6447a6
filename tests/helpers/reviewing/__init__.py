"""Records, kept and dropped, for the tests of the Reviewer."""
