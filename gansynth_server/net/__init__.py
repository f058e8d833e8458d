"""Who may talk to the server, how much, and the sessions of those who do."""
