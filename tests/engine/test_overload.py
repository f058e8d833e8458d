"""Too much is told from standing still, and who takes the most of it."""

from gansynth_server.engine.overload import FULL, TIME_SLICE_S, Overload


class Time:
    """Clocks that are moved by hand."""

    def __init__(self) -> None:
        self.now = self.worked = 0.0

    def go_on(self, seconds: float, worked: float | None = None) -> None:
        self.now += seconds
        self.worked += seconds if worked is None else worked


def clocked() -> tuple[Time, Overload]:
    clock = Time()
    return clock, Overload(lambda: clock.now, lambda: clock.worked)


def turn(
    overload: Overload, clock: Time, *who: str, seconds: float, worked: float | None = None
) -> None:
    overload.begin()
    clock.go_on(seconds, worked)
    overload.end(who)


def test_too_much_is_said_of_who_takes_the_most() -> None:
    clock, overload = clocked()
    for n in range(100):
        turn(overload, clock, "loud", seconds=0.008)
        turn(overload, clock, "soft", seconds=0.002)
        if n < 30:  # a time constant and a half
            assert overload.culprit() is None
    assert overload.culprit() == "loud"
    assert overload.culprit() is None
    turn(overload, clock, "loud", seconds=TIME_SLICE_S / 10)
    assert overload.culprit() is None  # a while has to pass


def test_what_is_rendered_together_is_shared() -> None:
    clock, overload = clocked()
    for _ in range(100):
        turn(overload, clock, "one", "other", seconds=0.006)
        turn(overload, clock, "other", seconds=0.004)
    assert overload.culprit() == "other"


def test_time_left_and_standing_still_are_not_too_much() -> None:
    clock, overload = clocked()
    for _ in range(100):
        turn(overload, clock, "bus", seconds=0.009)
        clock.go_on(0.01 * (1 / FULL - 0.9))
        assert overload.culprit() is None
    for _ in range(100):
        turn(overload, clock, "bus", seconds=0.01, worked=0.001)
        assert overload.culprit() is None


def test_a_long_turn_counts_by_its_length_and_after_a_rest_hardly() -> None:
    clock, overload = clocked()
    turn(overload, clock, "bus", seconds=0.3)
    assert overload.culprit() == "bus"
    turn(overload, clock, "bus", seconds=0.3, worked=0.001)  # it was suspended
    assert overload.culprit() is None
    clock.go_on(60.0)
    turn(overload, clock, "bus", seconds=0.3)
    assert overload.culprit() is None


def test_who_has_gone_is_forgotten() -> None:
    clock, overload = clocked()
    for _ in range(50):
        turn(overload, clock, "gone", seconds=0.02)
    for _ in range(400):
        turn(overload, clock, "here", seconds=0.01)
    assert overload.culprit() == "here" and set(overload._by) == {"here"}
