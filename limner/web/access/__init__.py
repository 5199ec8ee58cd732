"""Who may come in, and how much: authentication, rates, connections."""
