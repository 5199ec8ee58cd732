"""What browsers get: the playground and the documentation."""
