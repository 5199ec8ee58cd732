"""Engines in processes of their own, on this machine or others, reached through Ray Serve."""
