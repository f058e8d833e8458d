"""The page in a real browser: it is played as a person plays it, and what it sounds is compared."""

import base64
import io
import time

import numpy as np
import pytest
import soundfile

from gansynth_server.latent import timbre_map
from gansynth_server.model import checkpoint
from tests.support.chromium import chromium
from tests.support.page import page_of

pytest.importorskip("websockets")
pytest.importorskip("playwright.sync_api")

DESK, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
VOICES = "() => gansynth.link.ask('/status.reply', '/status').then(([voices]) => voices)"
LATENT = "(slot) => gansynth.link.ask('/z', '/z/get', slot).then(([, ...z]) => z)"


@pytest.fixture(scope="module")
def browser():
    with chromium() as running:
        yield running


@pytest.fixture
def open_page(browser, server):
    """Opens the page in a window of its own, starts its sound, and looks for complaints."""
    contexts, complaints = [], []

    def open_one(start=True, script="", **settings):
        context = browser.new_context(**{"viewport": DESK, **settings})
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.add_init_script(script)
        page.goto(page_of(server).url)
        wait(page, "gansynth.timbre.current")
        if start:
            page.click("#start-button")
            wait(page, "gansynth.sound.latency > 0 && gansynth.sound.running")
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert complaints == []


def until(page, script, wanted, seconds=20):
    """What a script returns, once it is what is wanted."""
    end = time.monotonic() + seconds
    while not wanted(found := page.evaluate(script)):
        assert time.monotonic() < end, found
        page.wait_for_timeout(50)
    return found


def wait(page, script):
    """Wait until an expression is true; by ``evaluate``, for the page's policy forbids the eval of
    ``wait_for_function``."""
    until(page, f"() => globalThis.gansynth && Boolean({script})", bool)


def until_voices(page, count):
    until(page, VOICES, lambda voices: voices == count)


def heard(page, seconds):
    """What the page plays in so many seconds, [frames, 2]."""
    page.evaluate("gansynth.sound.record()")
    page.wait_for_timeout(1000 * seconds)
    return stop_recording(page)


def stop_recording(page):
    text = page.evaluate(
        """async () => {
          const bytes = new Uint8Array(await gansynth.sound.stopRecording().arrayBuffer());
          let text = '';
          for (let n = 0; n < bytes.length; n += 8192) {
            text += String.fromCharCode(...bytes.subarray(n, n + 8192));
          }
          return btoa(text);
        }"""
    )
    return soundfile.read(io.BytesIO(base64.b64decode(text)), dtype="float32")[0]


def level(sound):
    return float(np.sqrt((sound**2).mean())) if len(sound) else 0.0


def place_on_map(page, x, y):
    """The pixel of a place on the map."""
    return page.evaluate(
        """([x, y]) => {
          const box = document.getElementById('map').getBoundingClientRect();
          const [left, top] = gansynth.map.toPixels(x, y);
          return [box.left + left, box.top + top];
        }""",
        [float(x), float(y)],
    )


@pytest.fixture(scope="module")
def atlas():
    return timbre_map.load(checkpoint.describe("all_instruments"))


def test_a_page_that_is_not_started_is_quiet_and_complete(open_page):
    page = open_page(start=False)
    assert page.title() == "gansynth"
    assert page.locator("#presets li").count() > 90
    assert page.locator("#measures input").count() == 5
    assert page.locator("#checkpoint option").count() >= 3
    assert page.evaluate("location.hash") == ""  # the token is not to be seen


def test_what_a_key_plays_is_what_the_server_records_bit_for_bit(open_page, root):
    page = open_page()
    page.evaluate("gansynth.link.send('/record', 'page.wav'); gansynth.sound.record()")
    page.keyboard.down("a")
    page.wait_for_timeout(700)
    page.keyboard.down("g")
    page.wait_for_timeout(700)
    page.keyboard.up("a")
    page.keyboard.up("g")
    until_voices(page, 0)
    page.wait_for_timeout(300)
    page.evaluate("gansynth.link.ask('/done /record', '/record/stop')")
    here, there = (
        sounding(stop_recording(page)),
        sounding(soundfile.read(root / "page.wav", dtype="float32")[0]),
    )
    assert len(here) > 40000 and level(here) > 0.003
    assert here.shape == there.shape and here.tobytes() == there.tobytes()


def sounding(sound):
    """From the first sample that is not zero to the last, without the quanta of blocks that were
    late, which are silent as a whole."""
    quanta = sound[: len(sound) // 128 * 128].reshape(-1, 128, 2)
    sound = quanta[np.abs(quanta).max(axis=(1, 2)) > 0].reshape(-1, 2)
    (loud,) = np.nonzero(np.abs(sound).max(axis=1))
    return sound[loud[0] : loud[-1] + 1]


def test_the_mouse_plays_the_piano_and_slides_over_it(open_page):
    page = open_page()
    first, last = (page.locator(f"[data-pitch='{pitch}']").bounding_box() for pitch in (60, 67))
    page.mouse.move(first["x"] + 20, first["y"] + 110)
    page.mouse.down()
    until_voices(page, 1)
    assert level(heard(page, 0.5)) > 0.001
    assert page.locator(".key.down").get_attribute("data-pitch") == "60"
    page.mouse.move(last["x"] + 20, last["y"] + 110, steps=8)
    assert page.locator(".key.down").get_attribute("data-pitch") == "67"
    page.mouse.up()
    until_voices(page, 0)


def test_two_fingers_play_two_notes_on_a_phone(open_page):
    page = open_page(viewport=PHONE, has_touch=True, is_mobile=True, device_scale_factor=2)
    assert page.evaluate("document.scrollingElement.scrollWidth") <= PHONE["width"]
    boxes = [page.locator(f"[data-pitch='{pitch}']").bounding_box() for pitch in (48, 55)]
    points = [{"x": b["x"] + 15, "y": b["y"] + 80, "id": n} for n, b in enumerate(boxes)]
    touch = page.context.new_cdp_session(page)
    touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": points})
    until_voices(page, 2)
    assert page.locator(".key.down").count() == 2
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    until_voices(page, 0)
    assert page.locator("#hover-label").is_hidden()


def test_every_control_is_large_enough_for_a_finger_and_has_a_name(open_page):
    page = open_page(viewport=PHONE, has_touch=True, is_mobile=True)
    small = page.evaluate(
        """[...document.querySelectorAll('button, select, input[type=search]')]
          .filter((e) => e.checkVisibility() && e.getBoundingClientRect().height < 24)
          .map((e) => e.outerHTML)"""
    )
    assert small == []
    nameless = page.evaluate(
        """[...document.querySelectorAll('button, select, input, canvas')].filter((e) =>
          !(e.ariaLabel || e.innerText || e.labels?.[0]?.innerText || e.placeholder))
          .map((e) => e.outerHTML)"""
    )
    assert nameless == []


def test_hovering_over_the_map_is_heard_and_changes_nothing_else(open_page, atlas):
    page = open_page()
    chosen = page.evaluate(LATENT, "z")
    latents = []
    for number in (10, 500):
        x, y = atlas.places[number]
        page.mouse.move(*place_on_map(page, x, y))
        until_voices(page, 1)
        latents.append(page.evaluate(LATENT, "hover"))
        np.testing.assert_allclose(latents[-1], atlas.at(x, y), atol=0.02)
    assert np.abs(np.subtract(*latents)).max() > 0.1
    assert level(heard(page, 0.4)) > 0.0005
    assert page.locator("#map-tip").is_visible()
    until_voices(page, 0)  # it ends by itself
    assert page.evaluate(LATENT, "z") == chosen


def test_a_click_on_the_map_chooses_and_undo_goes_back(open_page, atlas):
    page = open_page()
    before = page.evaluate(LATENT, "z")
    assert page.locator("#undo").is_disabled()
    x, y = atlas.places[800]
    page.mouse.click(*place_on_map(page, x, y))
    wait(page, "gansynth.timbre.current.place && gansynth.timbre.history.length === 1")
    np.testing.assert_allclose(page.evaluate(LATENT, "z"), atlas.latents[800], atol=0.02)
    page.click("#undo")
    wait(page, "!gansynth.timbre.current.place")
    np.testing.assert_allclose(page.evaluate(LATENT, "z"), before, atol=1e-6)


def test_a_path_on_the_map_morphs_the_note_that_is_held(open_page, atlas):
    page = open_page()
    until_voices(page, 0)  # what other pages have played has faded out
    page.keyboard.down("a")
    until_voices(page, 1)
    page.mouse.move(*place_on_map(page, *atlas.places[100]))
    page.mouse.down()
    latents = []
    for number in (200, 300, 400):
        page.mouse.move(*place_on_map(page, *atlas.places[number]), steps=6)
        page.wait_for_timeout(100)
        latents.append(page.evaluate(LATENT, "z"))
        assert page.evaluate(VOICES) == 1
    page.mouse.up()
    assert len({tuple(z) for z in latents}) == 3
    page.keyboard.up("a")
    until_voices(page, 0)


def test_a_path_with_nothing_held_plays_a_note_of_its_own(open_page, atlas):
    page = open_page()
    page.uncheck("#hover")
    until_voices(page, 0)
    page.mouse.move(*place_on_map(page, *atlas.places[100]))
    page.mouse.down()
    until_voices(page, 1)
    page.mouse.up()
    until_voices(page, 0)


def test_presets_are_found_by_name_and_family(open_page):
    page = open_page()
    page.fill("#search", "brass")
    found = page.locator("#presets li").all_inner_texts()
    assert any("trumpet" in text for text in found)
    page.fill("#search", "violin")
    page.click("#presets li button")
    wait(page, "gansynth.timbre.current.label === 'violin'")
    presets = checkpoint.describe("all_instruments").presets
    np.testing.assert_allclose(page.evaluate(LATENT, "z"), presets["violin"], atol=1e-5)
    assert "violin" in page.locator("#like").inner_text()


def test_a_timbre_that_is_kept_is_there_again(open_page):
    page = open_page()
    page.once("dialog", lambda dialog: dialog.accept("mine"))
    kept = page.evaluate(LATENT, "z")
    page.click("#pin")
    page.click("#random")
    wait(page, "gansynth.timbre.history.length === 1")
    page.reload()
    wait(page, "gansynth.timbre.current")
    page.click("#start-button")
    page.click("#kept button >> nth=0")
    wait(page, "gansynth.timbre.current.label === 'mine'")
    np.testing.assert_allclose(page.evaluate(LATENT, "z"), kept, atol=1e-4)
    page.click("#kept button >> nth=1")
    assert page.locator("#kept li").count() == 0


def test_sliders_shape_the_timbre_and_return_with_the_next(open_page):
    page = open_page()
    before = page.evaluate(LATENT, "z")
    page.locator("#measures input").first.fill("1.5")
    assert np.abs(np.subtract(page.evaluate(LATENT, "z"), before)).max() > 0.01
    page.click("#random")
    assert page.locator("#measures input").first.input_value() == "0"


def test_four_corners_are_mixed(open_page):
    page = open_page()
    presets = checkpoint.describe("all_instruments").presets
    for number, name in enumerate(("violin", "flute")):
        page.fill("#search", name)
        page.locator("#presets button").first.click()
        wait(page, f"gansynth.timbre.current.label.includes('{name}')")
        page.locator("#corners button").nth(number).click()
        assert name in page.locator("#corners button").nth(number).inner_text()
    pad = page.locator("#pad")
    pad.scroll_into_view_if_needed()
    pad.click(position={"x": 1, "y": 1})
    wait(page, "gansynth.timbre.current.label === 'mix'")
    violin, flute = presets["violin"], presets["flute"]
    assert angle(page.evaluate(LATENT, "z"), violin) < 5
    for _ in range(10):
        page.keyboard.press("ArrowRight")  # the pad has the focus
    middle = page.evaluate(LATENT, "z")
    assert angle(middle, violin) < angle(flute, violin) and angle(middle, flute) < 80


def angle(one, other):
    """Between two latents, in degrees."""
    cosine = np.dot(one, other) / np.linalg.norm(one) / np.linalg.norm(other)
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))


def test_a_timbre_wanders_and_stays_where_it_is_told_to(open_page):
    page = open_page()
    page.click("#wander")
    first = page.evaluate(LATENT, "z")
    until(page, "() => gansynth.link.ask('/z', '/z/get', 'z')", lambda found: found[1:] != first)
    page.click("#wander")
    stays = page.evaluate(LATENT, "z")
    page.wait_for_timeout(200)
    assert page.evaluate(LATENT, "z") == stays


def test_a_hallucination_sounds_and_stops(open_page):
    page = open_page()
    page.click("#hallucinate")
    until(page, VOICES, lambda voices: voices > 0)
    page.click("#hallucinate")
    until_voices(page, 0)
    assert page.locator("#hallucinate").get_attribute("aria-pressed") == "false"


def test_failures_are_shown_in_words_and_the_sound_goes_on(open_page):
    page = open_page()
    assert page.locator("#error").is_hidden()
    page.keyboard.down("a")
    until_voices(page, 1)
    page.evaluate("gansynth.link.send('/z/preset', 'z', 'nothing like it')")
    page.wait_for_selector("#error:visible")
    assert "/z/preset" in page.inner_text("#error") and "nothing like it" in page.inner_text(
        "#error"
    )
    assert level(heard(page, 0.3)) > 0.0005
    page.click("#error button")
    assert page.locator("#error").is_hidden()
    page.keyboard.up("a")


def test_a_link_that_is_old_says_what_to_do(browser, server):
    context = browser.new_context()
    page = context.new_page()
    page.goto(page_of(server).origin + "/#wrong")
    page.wait_for_selector("#error:visible")
    assert "open the link" in page.inner_text("#error")
    context.close()


def test_the_keyboard_alone_is_enough(open_page):
    page = open_page(start=False)
    page.keyboard.press("Enter")  # the button that starts has the focus
    wait(page, "gansynth.sound.latency > 0")
    page.focus("#map")
    for _ in range(3):
        page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Enter")
    wait(page, "gansynth.timbre.current.place")
    until(page, VOICES, lambda voices: voices > 0)
    page.wait_for_timeout(1000)  # until they are let go, for the pedal would hold them
    until_voices(page, 0)
    page.keyboard.down("Space")
    page.keyboard.press("s")
    page.wait_for_timeout(1200)
    until_voices(page, 1)
    page.keyboard.press("Escape")
    until_voices(page, 0)
    page.keyboard.up("Space")


def test_a_chord_a_pedal_and_all_sound_off(open_page):
    page = open_page()
    page.select_option("#chord", "minor 7")
    page.click("#pedal")
    page.keyboard.press("f")
    until_voices(page, 4)
    page.click("#panic")
    until_voices(page, 0)


def test_midi_keyboards_play_bend_and_press(open_page):
    page = open_page(
        script="""
        window.input = {};
        navigator.requestMIDIAccess = async () => ({inputs: new Map([['a', window.input]])});
        """
    )
    page.click("#midi")
    wait(page, "window.input.onmidimessage")
    page.evaluate(
        """() => {
          window.sent = [];
          const {link} = gansynth, send = link.send.bind(link);
          link.send = (...words) => { window.sent.push(words); send(...words); };
        }"""
    )
    play = "(...data) => window.input.onmidimessage({data})"
    for data in ([0x91, 60, 100], [0xE1, 0, 96], [0xD1, 127], [0xA1, 60, 0]):
        page.evaluate(f"(data) => ({play})(...data)", data)
    until_voices(page, 1)
    sent = page.evaluate("window.sent")
    assert ["/note", 60, 100, "m1.60", "z"] in sent
    assert ["/note/bend", "m1.60", 1] in sent
    assert ["/note/pressure", "m1.60", 1] in sent and ["/note/pressure", "m1.60", 0] in sent
    page.evaluate(f"(data) => ({play})(...data)", [0x81, 60, 0])
    until_voices(page, 0)
    assert page.locator("#error").is_hidden()


def test_two_pages_have_each_their_own(open_page):
    one, other = open_page(), open_page()
    one.click("#random")
    wait(one, "gansynth.timbre.history.length === 1")
    assert one.evaluate(LATENT, "z") != other.evaluate(LATENT, "z")
    one.keyboard.down("a")
    until_voices(one, 1)
    assert level(heard(one, 0.4)) > 0.0005 and level(heard(other, 0.4)) == 0
    one.keyboard.up("a")


def test_without_an_audio_worklet_buffers_play(open_page):
    page = open_page(script="delete BaseAudioContext.prototype.audioWorklet")
    assert page.evaluate("gansynth.sound.how") == "buffers"
    page.keyboard.down("a")
    until_voices(page, 1)
    assert level(heard(page, 1.0)) > 0.0005
    page.keyboard.up("a")
    until_voices(page, 0)


@pytest.mark.parametrize(
    "breaking",
    [
        "gansynth.link.worker.postMessage({reconnect: true})",
        "gansynth.link.send('/stream/close')",  # as the server ends that of a page that slept
    ],
)
def test_what_breaks_is_made_again(open_page, breaking):
    page = open_page()
    page.click("#random")
    wait(page, "gansynth.timbre.history.length === 1")
    before = page.evaluate(LATENT, "z")
    page.evaluate(
        "gansynth.opened = 0; gansynth.sound.addEventListener('opened', () => gansynth.opened++)"
    )
    page.evaluate(breaking)
    wait(page, "gansynth.opened")
    page.wait_for_timeout(1000)
    np.testing.assert_allclose(page.evaluate(LATENT, "z"), before, atol=1e-6)
    page.keyboard.down("a")
    until_voices(page, 1)
    assert level(heard(page, 0.5)) > 0.0005
    page.keyboard.up("a")


@pytest.mark.real_time
def test_ten_seconds_without_a_late_block(open_page):
    page = open_page()
    page.select_option("#latency", "8")
    wait(page, "gansynth.sound.latency > 80")
    page.keyboard.down("a")
    until_voices(page, 1)
    before = page.evaluate("gansynth.sound.late")
    page.wait_for_timeout(10000)
    late = page.evaluate("gansynth.sound.late") - before
    page.keyboard.up("a")
    assert late == 0
