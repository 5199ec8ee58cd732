"""Stored requests: claimed by whichever process has room, followed, cancelled."""
