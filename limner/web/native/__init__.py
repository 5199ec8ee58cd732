"""Limner's own surface: /api."""
