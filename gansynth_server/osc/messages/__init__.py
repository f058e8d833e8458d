"""The rows of the message table, room by room."""
