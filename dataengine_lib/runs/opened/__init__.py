"""A run's folder opened for exploring: its rounds, frames, images and parameters, and the path of one bad case."""
