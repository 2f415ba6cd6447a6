"""Parts of the steps that put several packages together, as the steps do, and that no other step needs."""
