"""Which images share the next forward pass, and the seam to the engine's callers; no torch."""
