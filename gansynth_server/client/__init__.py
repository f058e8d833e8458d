"""A client of a running server, for Python programs: ``gansynth_server.connect``."""

from gansynth_server.client.client import Client, Status, connect
from gansynth_server.client.messages import Message, NoReplyError, RequestError
from gansynth_server.client.stream import Stream

__all__ = ["Client", "Message", "NoReplyError", "RequestError", "Status", "Stream", "connect"]
