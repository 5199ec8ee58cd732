"""A request from its acceptance to its settlement: hold, submit, store, capture or release."""
