"""The engine: buses and voices that are driven by commands, in this process or in its own."""
