"""Squire's satchel: small adapters that are trained with Squire's weights unchanged."""
