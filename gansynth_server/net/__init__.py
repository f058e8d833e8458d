"""Access to the server, rates of messages, and the sessions of clients."""
