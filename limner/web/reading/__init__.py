"""Bodies and their fields as they come in, the same for every surface."""
