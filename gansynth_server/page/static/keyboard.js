// The piano: mouse, several fingers, and the letters of a computer's keyboard.

const BLACK = new Set([1, 3, 6, 8, 10]);
const NAMES = ['C', 'C♯', 'D', 'E♭', 'E', 'F', 'F♯', 'G', 'A♭', 'A', 'B♭', 'B'];
// by their places and not their letters, so that they lie as a piano's keys on any layout
const CODES = ['KeyA', 'KeyW', 'KeyS', 'KeyE', 'KeyD', 'KeyF', 'KeyT', 'KeyG', 'KeyY', 'KeyH', 'KeyU',
  'KeyJ', 'KeyK', 'KeyO', 'KeyL', 'KeyP', 'Semicolon', 'Quote'];
const LETTERS = /^Key/;
const MIN_WHITE_PX = 34;

export class Keyboard {
  constructor(element, notes) {
    Object.assign(this, {element, notes, range: [24, 84], first: 48});
    this.fingers = new Map(); // pointer → pitch
    this.letters = new Map(); // code → pitch
    this.layout = new Map(); // code → what is printed on the key, where the browser tells
    navigator.keyboard?.getLayoutMap().then((layout) => {
      this.layout = new Map([...layout].map(([code, letter]) => [code, letter.toUpperCase()]));
      this.draw();
    }, () => {});
    for (const type of ['pointerdown', 'pointermove', 'pointerup', 'pointercancel']) {
      element.addEventListener(type, (event) => this.finger(event));
    }
    element.addEventListener('contextmenu', (event) => event.preventDefault());
    notes.addEventListener('change', () => this.show());
    new ResizeObserver(() => this.draw()).observe(element);
  }

  setRange(low, high) {
    this.range = [low, high];
    this.draw();
  }

  shift(octaves) {
    const first = this.first + 12 * octaves;
    if (first + 12 < this.range[0] || first > this.range[1]) return;
    this.letUp();
    this.first = first;
    this.draw();
  }

  draw() {
    const whites = Math.max(8, Math.min(22, Math.floor(this.element.clientWidth / MIN_WHITE_PX)));
    this.element.replaceChildren();
    this.keys = new Map();
    for (let pitch = this.first, count = 0; count < whites || BLACK.has(pitch % 12); pitch++) {
      const black = BLACK.has(pitch % 12);
      if (black && count === whites) break;
      count += black ? 0 : 1;
      const key = document.createElement('div');
      key.className = black ? 'key black' : 'key';
      key.classList.toggle('off', pitch < this.range[0] || pitch > this.range[1]);
      key.dataset.pitch = pitch;
      const octave = Math.floor(pitch / 12) - 1;
      if (pitch % 12 === 0) key.append(span(`C${octave}`));
      const code = CODES[pitch - this.first - 12];
      if (code && LETTERS.test(code)) key.append(span(this.layout.get(code) ?? code.slice(3), 'letter'));
      key.title = `${NAMES[pitch % 12]}${octave}`;
      this.element.append(key);
      this.keys.set(pitch, key);
    }
    this.element.style.setProperty('--black-width', `${(58 / whites).toFixed(3)}%`);
    this.show();
  }

  show() {
    for (const [pitch, key] of this.keys ?? []) key.classList.toggle('down', this.notes.down.has(pitch));
  }

  finger(event) {
    event.preventDefault();
    const held = this.fingers.get(event.pointerId);
    if (event.type === 'pointerup' || event.type === 'pointercancel') {
      if (held !== undefined) this.notes.release(held);
      this.fingers.delete(event.pointerId);
      return;
    }
    if (event.type === 'pointerdown') {
      if (event.pointerType === 'mouse' && event.button !== 0) return;
      this.element.setPointerCapture(event.pointerId);
    } else if (!this.fingers.has(event.pointerId)) {
      return;
    }
    this.slide(event, held);
  }

  /** Play the key under a finger, in place of the one that it came from. */
  slide(event, held) {
    const key = document.elementFromPoint(event.clientX, event.clientY)?.closest('.key');
    const pitch = key && this.element.contains(key) ? Number(key.dataset.pitch) : undefined;
    if (pitch === held && this.fingers.has(event.pointerId)) return;
    if (held !== undefined) this.notes.release(held);
    this.fingers.set(event.pointerId, pitch);
    if (pitch === undefined) return;
    const box = key.getBoundingClientRect();
    const depth = (event.clientY - box.top) / box.height; // far down is loud, as on a real key
    this.notes.press(pitch, Math.round(60 + 60 * Math.min(1, Math.max(0, depth))));
  }

  /** Take a key of the computer; whether it plays. */
  letter(event) {
    const step = CODES.indexOf(event.code);
    if (step < 0) return false;
    const held = this.letters.get(event.code);
    if (event.type === 'keydown' && held === undefined) {
      const pitch = this.first + 12 + step;
      this.letters.set(event.code, pitch);
      this.notes.press(pitch, 100);
    } else if (event.type === 'keyup' && held !== undefined) {
      this.letters.delete(event.code);
      this.notes.release(held);
    }
    return true;
  }

  /** Let all keys up. */
  letUp() {
    for (const pitch of [...this.fingers.values(), ...this.letters.values()]) {
      if (pitch !== undefined) this.notes.release(pitch);
    }
    this.fingers.clear();
    this.letters.clear();
  }
}

function span(textContent, className = '') {
  return Object.assign(document.createElement('span'), {textContent, className});
}
