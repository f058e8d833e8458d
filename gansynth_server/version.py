"""The version: of the package, and as the server tells it."""

__version__ = "0.1.0"
