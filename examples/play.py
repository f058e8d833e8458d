"""gansynth-server from Python: a held note whose timbre follows a slot. Needs a running server."""

import time

import gansynth_server as gs


def main() -> None:
    with gs.connect("127.0.0.1", 57180) as server:
        server.random("a", seed=1)
        server.random("b", seed=2)
        server.slerp("live", "a", "b", 0.0)
        server.send("/z/follow", "live", 1)
        server.send("/hold", 1)
        drone = server.note(48, velocity=90, id="drone", slot="live")
        for step in range(60):  # the held note changes its timbre as the slot does
            server.slerp("live", "a", "b", step / 59)
            time.sleep(0.05)
        server.send("/note/glide", drone, 60, 500)
        time.sleep(1)
        with server.at(time.time() + 0.2):  # a chord on its end, exact to the sample
            server.release(drone)
            server.send("/hold", 0)
            for pitch in (60, 64, 67):
                server.note(pitch)
        server.sync()  # raises what the server has refused
        print(f"{server.status().voices} voices sound")


if __name__ == "__main__":
    main()
