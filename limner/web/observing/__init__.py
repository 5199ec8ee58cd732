"""Metrics, and what is logged of a call."""
