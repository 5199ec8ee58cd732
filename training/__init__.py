"""Squire, the model inside Limner: its painter, its training and its evaluation."""
