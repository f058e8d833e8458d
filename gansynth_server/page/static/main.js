// The page: joins the parts, and introduces itself to the server whenever the socket opens.

import {Corners} from './corners.js';
import {Keyboard} from './keyboard.js';
import {Library, button} from './library.js';
import {Link} from './link.js';
import {TimbreMap} from './map.js';
import {Midi} from './midi.js';
import {Notes} from './notes.js';
import {EnvelopePanel, ShapePanel} from './panel.js';
import {drawSpectrogram} from './scope.js';
import {LATENCIES, Sound} from './sound.js';
import {Timbre} from './timbre.js';

const STATUS_MS = 500, ERROR_MS = 10000, PREVIEW_MS = 700, PREVIEW_FADE_MS = 80, PREVIEW_GAP_MS = 70, DRAG_MS = 25, LIKES = 6, WALK_HZ = 0.4;
const CHORDS = {
  'one note': [0], octave: [0, 12], fifth: [0, 7], major: [0, 4, 7], minor: [0, 3, 7],
  'major 7': [0, 4, 7, 11], 'minor 7': [0, 3, 7, 10], sus: [0, 5, 7],
};
const $ = (id) => document.getElementById(id);

// the token leaves the address bar, so that no picture or history of it gives the server away
const token = location.hash.slice(1) || sessionStorage.getItem('token') || '';
sessionStorage.setItem('token', token);
history.replaceState(null, '', location.pathname);

const link = new Link(`${location.protocol.replace('http', 'ws')}//${location.host}/osc`, token);
const sound = new Sound(link);
const notes = new Notes(link);
const timbre = new Timbre(link);
const keyboard = new Keyboard($('keyboard'), notes);
const map = new TimbreMap($('map'), $('map-tip'));
const library = new Library({search: $('search'), presets: $('presets'), kept: $('kept')}, timbre);
const shape = new ShapePanel($('measures'), $('components'), link, timbre);
const corners = new Corners($('pad'), [...document.querySelectorAll('#corners button')], link, timbre);
const envelope = new EnvelopePanel($('envelope'), link);
const midi = new Midi(notes, link);
let connected = false, checkpoint = '';

// the server

link.on('open', () => introduce().catch((error) => {
  complain(error);
  link.worker.postMessage({reconnect: true});
}));
link.on('closed', ({code, reason}) => {
  connected = false;
  notes.down.clear();
  keyboard.letUp();
  const why = code === 1008
    ? 'This page does not know the server any more: open the link that it printed at its start.'
    : `No connection${reason ? `: ${reason}` : ''}. Trying again …`;
  $('status').textContent = 'not connected';
  showError(why, true);
});
link.on('/login.reply', (number) => link.send('/login', number));
link.on('/fail', (address, why) => {
  showError(`${address}: ${why}`);
  // a page that slept for a minute is forgotten: it begins again
  if (address === '/stream/pull') link.worker.postMessage({reconnect: true});
});
link.on('/late', (seconds) => showError(`The last message came ${(1000 * seconds).toFixed(0)} ms late.`));
link.on('/done', (what) => {
  if (what === '/login' && !connected) {
    connected = true;
    hideError();
  }
});

/** Tell a server that does not know this page yet all that it has to know. */
async function introduce() {
  await link.reply('/done /login', '/login');
  for (const message of [['/notify', 1], ['/z/follow', 'z', 1], ['/hold', pressed('hold')], ['/pedal', pressed('pedal')]]) {
    link.send(...message);
  }
  envelope.send();
  await sound.open();
  const [, ...names] = ['', ...await link.ask('/checkpoint/list.reply', '/checkpoint/list')];
  $('checkpoint').replaceChildren(...names.map((name) => new Option(name)));
  if (checkpoint && names.includes(checkpoint)) await load(checkpoint);
  else await learn();
}

/** Learn what the checkpoint is. */
async function learn() {
  const [name, , low, high, ...presets] = await link.ask('/checkpoint/info.reply', '/checkpoint/info');
  const same = name === checkpoint;
  checkpoint = name;
  if (![...$('checkpoint').options].some((option) => option.value === name)) $('checkpoint').add(new Option(name));
  $('checkpoint').value = name;
  keyboard.setRange(low, high);
  if (!same) {
    const response = await fetch(`map.json?checkpoint=${encodeURIComponent(name)}`);
    showMap(response.ok ? await response.json() : null, presets);
    corners.clear();
    timbre.history = [];
    timbre.current = null;
  }
  const [components] = await link.ask('/pca/info.reply', '/pca/info').catch(() => [0]);
  shape.setComponents(components);
  corners.introduce();
  timbre.restore();
}

function showMap(data, presets) {
  for (const preset of data?.presets ?? []) {
    if (preset.place) preset.place = {x: preset.place[0], y: preset.place[1]};
  }
  map.load(data);
  $('map-none').hidden = Boolean(data);
  $('colour').replaceChildren(new Option('family'), ...(data?.measures ?? []).map(({name}) => new Option(name)));
  map.colour('family');
  shape.setMeasures(data?.measures ?? []);
  const known = new Map((data?.presets ?? []).map((preset) => [preset.name, preset]));
  library.load(checkpoint, presets.map((name) => known.get(name) ?? {name, family: '', place: null}));
}

async function load(name) {
  $('checkpoint').disabled = true;
  try {
    await link.ask('/done /checkpoint/load', '/checkpoint/load', name);
  } finally {
    $('checkpoint').disabled = false;
    await learn();
  }
}

setInterval(() => connected && link.send('/status'), STATUS_MS);
link.on('/status.reply', (voices, waiting, clients, load, peak, rate, underruns) => {
  const facts = [
    `${voices} voice${voices === 1 ? '' : 's'}`, waiting ? `${waiting} waiting` : '', `load ${load.toFixed(0)} %`,
    sound.latency ? `${sound.latency.toFixed(0)} ms` : '', sound.how === 'buffers' ? 'no AudioWorklet: longer latency' : '',
  ];
  const troubles = `late ${sound.late} · underruns ${underruns}`;
  $('status').textContent = [...facts.filter(Boolean), troubles].join(' · ');
  $('status').title = `clients ${clients}, highest load ${peak.toFixed(0)} %, ${rate} Hz`;
});

// failures in words, where the eyes are

let hiding;
function showError(text, stays = false) {
  clearTimeout(hiding);
  $('error').hidden = false;
  $('error').firstElementChild.textContent = text;
  if (!stays) hiding = setTimeout(hideError, ERROR_MS);
}
function hideError() { $('error').hidden = true; }
function complain(error) { showError(error.message); }
$('error').lastElementChild.addEventListener('click', hideError);

// the sound

$('start').addEventListener('close', () => sound.start().catch(complain));
// telephones take the sound away from pages that are not looked at
addEventListener('pointerdown', () => { if (sound.context && !sound.running) sound.context.resume(); });
$('latency').append(...LATENCIES.map((ahead) => new Option(`${Math.round(1000 * ahead * 512 / 48000)} ms`, ahead)));
$('latency').value = sound.ahead;
$('latency').addEventListener('change', ({target}) => {
  sound.ahead = Number(target.value);
  sound.open().catch(complain);
});
$('volume').addEventListener('input', setVolume);
sound.addEventListener('opened', setVolume);
function setVolume() {
  if (sound.output) sound.output.gain.setTargetAtTime($('volume').value ** 2, sound.context.currentTime, 0.01);
}
drawSpectrogram($('scope'), sound);

$('record').addEventListener('click', () => {
  if (!sound.running) return;
  const begin = !sound.recorded;
  press('record', begin);
  $('record').textContent = begin ? '■ Stop' : '● Record';
  if (begin) sound.record();
  else download(sound.stopRecording(), 'gansynth.wav');
});
function download(blob, name) {
  const anchor = Object.assign(document.createElement('a'), {href: URL.createObjectURL(blob), download: name});
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(anchor.href), 60000);
}

// notes

const pressed = (id) => ($(id).ariaPressed === 'true' ? 1 : 0);
function press(id, on) { $(id).ariaPressed = String(Boolean(on)); }
function toggle(id, address) {
  press(id, !pressed(id));
  link.send(address, pressed(id));
}
$('hold').addEventListener('click', () => toggle('hold', '/hold'));
$('pedal').addEventListener('click', () => toggle('pedal', '/pedal'));
$('lower').addEventListener('click', () => keyboard.shift(-1));
$('higher').addEventListener('click', () => keyboard.shift(1));
$('panic').addEventListener('click', silence);
$('chord').append(...Object.keys(CHORDS).map((name) => new Option(name)));
$('chord').addEventListener('change', ({target}) => {
  keyboard.letUp();
  notes.shape = CHORDS[target.value];
  target.blur(); // or the letters would choose chords
});
function silence() {
  keyboard.letUp();
  notes.silence();
}

const SHORTCUTS = {
  Escape: silence, KeyZ: () => keyboard.shift(-1), KeyX: () => keyboard.shift(1),
  KeyR: () => timbre.random(), KeyU: () => timbre.undo(), KeyP: null,
};
addEventListener('keydown', (event) => takeKey(event));
addEventListener('keyup', (event) => takeKey(event));
function takeKey(event) {
  const writing = event.target.closest?.('input[type=search], select, dialog[open]');
  if (event.ctrlKey || event.metaKey || event.altKey || (writing && event.type === 'keydown')) return;
  if (event.code === 'Space' && !event.target.closest?.('button, summary')) {
    event.preventDefault();
    if (!event.repeat) {
      press('pedal', event.type === 'keydown');
      link.send('/pedal', pressed('pedal'));
    }
  } else if (keyboard.letter(event)) {
    event.preventDefault();
  } else if (event.type === 'keydown' && !event.repeat) {
    SHORTCUTS[event.code]?.();
  }
}
// a key that comes up elsewhere is never told of
addEventListener('blur', () => keyboard.letUp());
addEventListener('pagehide', () => link.send('/allsoundoff'));

if (Midi.there) $('midi').hidden = false;
$('midi').addEventListener('click', async () => {
  try {
    const count = await midi.connect();
    $('midi').textContent = `MIDI: ${count} input${count === 1 ? '' : 's'}`;
    $('bend-label').hidden = false;
  } catch (error) {
    showError(`The browser lets no MIDI in: ${error.message}`);
  }
});
$('bend').addEventListener('change', ({target}) => { midi.range = Number(target.value); });

// timbres

let previews = 0, previewed = false, sounded = 0, previewing;
map.addEventListener('point', ({detail: at}) => {
  if (!$('hover').checked || !sound.running) return;
  clearTimeout(previewing);
  previewing = setTimeout(() => preview(at), Math.max(0, sounded + PREVIEW_GAP_MS - performance.now()));
});
function preview({x, y}) {
  endPreview();
  previewed = true;
  sounded = performance.now();
  link.send('/map', x, y, 'hover');
  notes.start(`hover${++previews}`, notes.last, 80, 'hover');
  link.send('/note/hold', `hover${previews}`, 0);
  previewing = setTimeout(endPreview, PREVIEW_MS);
}
function endPreview() {
  clearTimeout(previewing);
  if (!previewed) return;
  previewed = false;
  link.send('/note/gain', `hover${previews}`, 0, PREVIEW_FADE_MS); // the pedal holds what is played alone
  notes.stop(`hover${previews}`);
}
map.addEventListener('leave', endPreview);

let dragged = null; // {alone, sent}
map.addEventListener('press', ({detail: at}) => {
  endPreview();
  timbre.choose(at, at.name);
  // with nothing to morph, the drag plays a note of its own
  dragged = {alone: notes.down.size === 0 && !pressed('pedal'), sent: performance.now(), at};
  if (dragged.alone) notes.start('drag', notes.last, 100);
});
map.addEventListener('drag', ({detail: at}) => {
  const now = performance.now();
  dragged.moved = true;
  dragged.at = at;
  map.show(at, true);
  if (now - dragged.sent < DRAG_MS) return;
  dragged.sent = now;
  timbre.morph(at);
});
map.addEventListener('lift', () => {
  if (dragged.alone) notes.stop('drag');
  if (dragged.moved) {
    timbre.morph(dragged.at);
    timbre.look({place: dragged.at, label: dragged.at.name});
  }
  dragged = null;
});
map.addEventListener('choose', ({detail: at}) => {
  timbre.choose(at, at.name);
  notes.start('chosen', notes.last, 100);
  setTimeout(() => notes.stop('chosen'), PREVIEW_MS);
});

timbre.addEventListener('moved', ({detail: {place, label}}) => {
  map.show(place, true);
  $('like').textContent = label.replaceAll('_', ' ');
});
timbre.addEventListener('known', () => {
  const {place} = timbre.current;
  const placeOf = (wanted) => map.data?.presets.find(({name}) => name === wanted)?.place ?? null;
  if (!place) map.show(placeOf(timbre.likes[0]), false);
  // the map knows what sounds alike; elsewhere the angle between latents has to do
  const likes = place && map.data ? map.likes(place, LIKES) : timbre.likes;
  $('like').replaceChildren('More like this: ', ...likes.map((name) =>
    button(name.replaceAll('_', ' '), () => timbre.preset(name, placeOf(name)))));
  $('undo').disabled = timbre.history.length === 0;
});

$('random').addEventListener('click', () => timbre.random());
$('undo').addEventListener('click', () => timbre.undo());
$('wander').addEventListener('click', () => {
  press('wander', !pressed('wander'));
  if (pressed('wander')) timbre.change(() => link.send('/z/walk', 'z', WALK_HZ), {label: 'wandering'});
  else stay();
});
timbre.addEventListener('moved', ({detail: {label}}) => press('wander', label === 'wandering'));
function stay() {
  link.send('/z/freeze', 'z');
  timbre.edited();
}
$('hallucinate').addEventListener('click', () => {
  press('hallucinate', !pressed('hallucinate'));
  link.send(pressed('hallucinate') ? '/hallucinate' : '/hallucinate/stop');
});
link.on('/done', (what) => {
  if (what.startsWith('/hallucinate')) press('hallucinate', false);
});
$('pin').addEventListener('click', () => timbre.current && library.keep(timbre.current));
library.addEventListener('kept', () => {
  map.kept = library.own;
  map.request();
});
$('colour').addEventListener('change', ({target}) => map.colour(target.value));
$('checkpoint').addEventListener('change', ({target}) => load(target.value).catch(complain));

// for the browser's console: gansynth.link.send('/note', 60, 100)
globalThis.gansynth = {link, sound, notes, timbre, map, midi};

if (!token) {
  $('start-text').textContent = 'Open the link that gansynth-server printed at its start: it ends with a word that lets you in.';
  $('start-button').hidden = true;
}
$('start').showModal();
