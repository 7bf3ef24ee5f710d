"""In: where rows and images come from."""
