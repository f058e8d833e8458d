"""The wire: OSC packets, the table of messages, and what answers them."""
