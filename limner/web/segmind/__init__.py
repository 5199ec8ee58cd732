"""The vendor's surface: /v1/sd1.5-rpg, its siblings, and the queue under /v2."""
