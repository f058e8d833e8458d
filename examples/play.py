"""gansynth-server from Python: needs `pip install python-osc`, and a running server."""

import time

from pythonosc.osc_message_builder import OscMessageBuilder
from pythonosc.udp_client import SimpleUDPClient


def main() -> None:
    server = SimpleUDPClient("127.0.0.1", 57180)
    say = server.send_message
    say("/z/random", ["a", 1])
    say("/z/random", ["b", 2])
    say("/z/slerp", ["live", "a", "b", 0.0])
    say("/z/follow", ["live", 1])
    say("/hold", [1])
    say("/note", [48, 90, "drone", "live"])
    for step in range(60):  # the held note changes its timbre as the slot does
        say("/z/slerp", ["live", "a", "b", step / 59])
        time.sleep(0.05)
    say("/note/glide", ["drone", 60, 500])
    time.sleep(1)
    say("/note/off", ["drone"])
    say("/hold", [0])
    server.send(OscMessageBuilder("/status").build())
    reply = server.receive(1.0)
    print("answered" if reply else "no answer: is the server running?")


if __name__ == "__main__":
    main()
