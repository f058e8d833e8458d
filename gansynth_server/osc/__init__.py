"""Open Sound Control: codec, address patterns, the message table and its check, dispatch,
scheduler."""
