"""Boxes found in pictures by detectors of an operator's own."""
