"""What can be done to a note while it sounds, measured on its sound."""

import numpy as np
import pytest

from gansynth_server.spectral.steady import steadiest
from gansynth_server.synth.bus import Bus
from gansynth_server.synth.envelope import Envelope
from gansynth_server.synth.playhead import place
from gansynth_server.synth.voices import Voices
from tests.support.sounds import pitch_of
from tests.synth.test_voices import note, spectrum, tone

RATE = 16000


@pytest.fixture(scope="module")
def steady():
    """440 Hz with three partials, as a spectrum."""
    return spectrum(tone(440) + 0.5 * tone(880) + 0.25 * tone(1320))


@pytest.fixture(scope="module")
def decaying():
    """A pluck: 36 dB down after 4 s."""
    return spectrum(tone(330) * np.exp(-np.arange(64000) / RATE * 1.04).astype(np.float32))


def bank(*notes, channels=1, rate=RATE, count=8):
    voices = Voices(rate, count, channels)
    for n in notes:
        voices.start(n)
    return voices


def cents(sound, hertz, rate=RATE):
    return 1200 * np.log2(pitch_of(sound, rate) / hertz)


def level(sound):
    return 20 * np.log10(np.sqrt((sound**2).mean(axis=-1)) + 1e-9)


def roughest(sound):
    """The largest second difference: a click stands out in it."""
    return np.abs(np.diff(sound, 2)).max()


def test_held_pluck_keeps_its_level_and_pitch(decaying):
    decaying.region = steadiest(decaying)
    n = note(decaying, hold=True)
    sound = bank(n).render(20 * RATE)[0]
    seconds = sound[4 * RATE :].reshape(-1, RATE)
    assert np.ptp(level(seconds)) < 0.5
    assert max(abs(cents(second, 330)) for second in seconds) < 5
    free = bank(note(decaying)).render(4 * RATE)[0]
    assert level(free[3 * RATE :]) < level(free[:RATE]) - 20  # unheld it does decay
    assert roughest(sound[4 * RATE :]) < roughest(free[1000 : 3 * RATE])


def test_hold_can_begin_late_and_end(steady):
    n = note(steady)
    voices = bank(n)
    sound = [voices.render(3 * RATE)[0]]
    voices.change(n, hold=True)
    sound.append(voices.render(6 * RATE)[0])
    assert voices.sounding == 1
    voices.change(n, hold=False)
    sound.append(voices.render(5 * RATE)[0])
    assert voices.take_ended() == [n]
    joined = np.concatenate(sound)
    assert roughest(joined[1000 : 9 * RATE]) < 1.2 * roughest(sound[0][1000:])


@pytest.mark.parametrize("speed", [0.0, 0.25, 0.5, 2.0, -1.0])
def test_speed_leaves_the_pitch(steady, speed):
    n = note(steady)
    voices = bank(n)
    voices.render(RATE)
    voices.change(n, speed=speed)
    before = voices.next_frame(n)[0]
    sound = voices.render(RATE // 2)[0]
    moved = voices.next_frame(n)[0] - before
    assert abs(moved - speed * 0.5 * RATE / 512) <= abs(speed) + 1e-9
    assert abs(cents(sound, 440)) < 3
    assert abs(level(sound) - level(bank(note(steady)).render(RATE)[0, RATE // 2 :])) < 1


def test_stretched_note_lasts_longer_and_ends(steady):
    n = note(steady, speed=0.5)
    voices = bank(n)
    length = 0
    while voices.sounding or not length:
        voices.render(1000)
        length += 1000
        assert length < 20 * RATE
    assert 7.5 * RATE < length < 8.5 * RATE


def test_going_backwards_ends_at_the_beginning(steady):
    n = note(steady)
    voices = bank(n)
    voices.render(RATE)
    voices.change(n, speed=-1.0)
    voices.render(2 * RATE)
    assert voices.take_ended() == [n]


def test_position_jumps_to_a_time(decaying):
    n = note(decaying)
    voices = bank(n)
    voices.render(RATE // 2)
    voices.seek(n, place(3.0))
    late = voices.render(RATE // 2)[0, RATE // 4 :]
    free = bank(note(decaying)).render(4 * RATE)[0]
    assert abs(level(late) - level(free[int(3.25 * RATE) : int(3.5 * RATE)])) < 1.5


@pytest.mark.parametrize("rate", [16000, 48000])
def test_bend_and_glide_reach_their_pitch_in_their_time(steady, rate):
    n = note(steady)
    voices = bank(n, rate=rate)
    voices.render(rate // 2)
    voices.change(n, 0.2, bend=2.0)
    on_the_way = voices.render(rate // 5)[0]
    bent = voices.render(rate // 2)[0]
    assert abs(cents(bent, 440, rate) - 200) < 2
    assert roughest(on_the_way) < 2 * roughest(bent)
    voices.change(n, 0.1, pitch=n.pitch - 5)
    voices.render(rate // 8)
    low = voices.render(rate // 2)[0]
    assert abs(cents(low, 440, rate) + 300) < 2


def test_vibrato_swings_by_its_depth_at_its_rate(steady):
    n = note(steady, vibrato=(1.0, 5.0), hold=True)
    sound = bank(n).render(4 * RATE)[0, RATE:]
    short = [
        cents(sound[i : i + 800], 440) for i in range(0, len(sound) - 800, 200)
    ]  # 50 ms windows see nearly the whole swing
    assert 70 < max(short) < 110 and -110 < min(short) < -70
    swing = np.abs(np.fft.rfft(np.array(short) - np.mean(short)))
    hertz = np.fft.rfftfreq(len(short), 200 / RATE)[swing.argmax()]
    assert abs(hertz - 5) < 0.5


def test_far_pitches_keep_their_length_and_have_no_images(steady):
    rate = 48000
    n = note(steady, pitch=69 + 36, rendered=69)
    sound = bank(n, rate=rate).render(3 * rate)[0]
    assert abs(cents(sound[rate : 2 * rate], 8 * 440, rate)) < 3
    assert level(sound[2 * rate :]) > level(sound[rate : 2 * rate]) - 3
    top = note(steady, pitch=127, rendered=69)  # 440 Hz read 28 times as fast
    sound = bank(top, rate=rate).render(rate)[0, rate // 4 :]
    power = np.abs(np.fft.rfft(sound * np.hanning(len(sound)))) ** 2
    hertz = np.fft.rfftfreq(len(sound), 1 / rate)
    wanted = np.zeros(len(power), bool)
    for partial in (1, 2, 3):
        wanted |= np.abs(hertz - partial * 440 * 2 ** (58 / 12)) < 1500
    assert power[~wanted].sum() < 1e-3 * power.sum()


def test_gain_and_pan_move_without_a_step(steady):
    n = note(steady)
    voices = bank(n, channels=2)
    before = voices.render(RATE)
    assert np.array_equal(before[0], before[1])
    voices.change(n, 0.1, gain=0.25, pan=-1.0)
    moving = voices.render(RATE // 10)
    after = voices.render(RATE // 2)
    assert np.abs(after[1]).max() < 1e-6
    full = level(before[0, RATE // 2 :])
    assert abs(level(after[0]) - (full - 12.04 + 3.01)) < 0.3  # equal power: 3 dB more on one side
    joined = np.concatenate([before, moving, after], axis=1)
    assert roughest(joined[:, 1000:]) < 1.5 * roughest(before[:, 1000:])


def test_brightness_tilts_by_octaves_around_the_note(steady):
    def partials(**kw):
        n = note(steady, pitch=69, rendered=69, **kw)
        sound = bank(n).render(2 * RATE)[0, RATE:]
        spectrum_ = np.abs(np.fft.rfft(sound * np.hanning(RATE)))
        return 20 * np.log10([spectrum_[440 * k - 3 : 440 * k + 4].max() for k in (1, 2, 3)])

    change = partials(brightness=-6.0) - partials()
    assert np.allclose(change, [0, -6, -6 * np.log2(3)], atol=0.4)


def test_pressure_changes_what_it_is_told_to(steady):
    n = note(steady, pressed=("bend", 2.0))
    voices = bank(n)
    voices.render(RATE // 2)
    voices.change(n, pressure=0.5)
    voices.render(RATE // 4)
    assert abs(cents(voices.render(RATE // 2)[0], 440) - 100) < 2
    loud = note(steady, pressed=("gain", 6.0), pressure=1.0)
    assert (
        abs(level(bank(loud).render(RATE)[0]) - level(bank(note(steady)).render(RATE)[0]) - 6) < 0.1
    )


def test_envelope_follows_its_segments(steady):
    shape = Envelope(attack=0.1, decay=0.2, sustain=0.5, release=0.4)
    n = note(steady, envelope=shape)
    flat = bank(note(steady)).render(2 * RATE)[0]
    voices = bank(n)
    sound = voices.render(RATE)[0]
    voices.release(n)
    sound = np.concatenate([sound, voices.render(RATE)[0]])
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = np.where(np.abs(flat) > 0.05, sound / flat, np.nan)
    for seconds, expected in (
        (0.05, 0.5),
        (0.1, 1),
        (0.2, 0.75),
        (0.5, 0.5),
        (1.2, 0.25),
        (1.45, 0),
    ):
        at = int(seconds * RATE)
        assert abs(np.nanmedian(gain[at - 40 : at + 40]) - expected) < 0.02, seconds
    assert voices.take_ended() == [n]


def test_curve_falls_fast_first(steady):
    def half_way(curve):
        n = note(steady, envelope=Envelope(release=0.4, curve=curve), off=0.5)
        sound = bank(n).render(RATE)[0]
        return np.abs(sound[int(0.68 * RATE) : int(0.72 * RATE)]).max()

    assert half_way(-5.0) < 0.3 * half_way(0.0) < half_way(0.0) < 0.8 * half_way(5.0)


def test_choke_group_ends_the_note_before(steady):
    first, other, second = (
        note(steady, pitch=69 + i / 10, choke=group) for i, group in enumerate(("hat", None, "hat"))
    )
    voices = bank(first, other)
    voices.render(RATE // 2)
    voices.start(second)
    voices.render(RATE // 10)
    assert voices.take_ended() == [first] and voices.sounding == 2


def test_the_released_are_stolen_first_then_the_pedalled_then_the_quiet(steady):
    notes = [note(steady, pitch=69 + i / 10, gain=0.5 if i == 2 else 1.0) for i in range(4)]
    voices = bank(*notes, count=4)
    voices.render(RATE)
    voices.release(notes[3])
    notes[1].pedalled = True
    order = []
    for i in range(3):
        voices.start(note(steady, pitch=80 + i))
        voices.render(RATE // 50)
        order += voices.take_ended()
    assert order == [notes[3], notes[1], notes[2]]


def test_changes_come_at_their_sample(steady):
    def play(block):
        bus = Bus(RATE, 4, gain=1.0)
        n = note(steady, hold=True)
        bus.start(n, 0.1)
        for when, change in (
            (0.3011, {"bend": 3.0}),
            (0.5007, {"speed": 0.3}),
            (0.9, {"gain": 0.1}),
        ):
            bus.post(lambda voices, c=change: voices.change(n, **c), when, n)
        bus.release(n, 1.4003)
        return np.concatenate([bus.render(block)[0] for _ in range(2 * RATE // block)])

    whole = play(2 * RATE)
    onset = round(0.1 * RATE) + round(0.001 * RATE)
    assert not whole[:onset].any() and whole[onset : onset + 50].any()
    for block in (64, 500):
        assert np.abs(play(block) - whole).max() < 1e-6
