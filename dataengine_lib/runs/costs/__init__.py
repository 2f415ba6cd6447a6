"""What a run will ask models for and what that costs, estimated from its files: a module for each that is asked."""
