// Four timbres at the corners of a pad; its dot mixes them into what the keys play.

const NAMES = ['A', 'B', 'C', 'D']; // top left, top right, bottom left, bottom right
const SEND_MS = 25, STEP = 0.05;
const slotOf = (name) => `corner${name}`;
const inside = (value) => Math.min(1, Math.max(0, value));

export class Corners {
  constructor(pad, buttons, link, timbre) {
    Object.assign(this, {pad, buttons, link, timbre, kept: {}, x: 0.5, y: 0.5, sent: 0});
    this.dot = pad.firstElementChild;
    buttons.forEach((button, n) => button.addEventListener('click', () => this.keep(NAMES[n])));
    pad.addEventListener('pointerdown', (event) => {
      pad.setPointerCapture(event.pointerId);
      this.begin();
      this.follow(event);
    });
    pad.addEventListener('pointermove', (event) => {
      if (this.moving) this.follow(event);
    });
    for (const type of ['pointerup', 'pointercancel']) pad.addEventListener(type, () => this.end());
    pad.addEventListener('keydown', (event) => this.key(event));
    this.show();
  }

  /** Fill the corners of a client that is new to the server. */
  introduce() {
    for (const name of NAMES) {
      const kept = this.kept[name];
      if (kept) this.link.send('/z/set', slotOf(name), kept.z);
      else this.link.send('/z/random', slotOf(name));
    }
    this.show();
  }

  /** Forget what the corners held, for another checkpoint. */
  clear() { this.kept = {}; }

  keep(name) {
    if (!this.timbre.current) return;
    this.kept[name] = this.timbre.current;
    this.link.send('/z/set', slotOf(name), this.kept[name].z);
    this.show();
  }

  begin() {
    this.moving = true;
    this.timbre.change(() => {}, {label: 'mix'});
  }

  follow({offsetX, offsetY}) {
    this.x = inside(offsetX / this.pad.clientWidth);
    this.y = inside(offsetY / this.pad.clientHeight);
    this.show();
    const now = performance.now();
    if (now - this.sent < SEND_MS) return;
    this.sent = now;
    this.mix();
  }

  end() {
    if (!this.moving) return;
    this.moving = false;
    this.mix();
    this.timbre.look({label: 'mix'}, false);
  }

  key(event) {
    const step = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[event.key];
    if (!step) return;
    event.preventDefault();
    this.begin();
    this.x = inside(this.x + STEP * step[0]);
    this.y = inside(this.y + STEP * step[1]);
    this.show();
    this.end();
  }

  mix() {
    const {x, y} = this, weights = [(1 - x) * (1 - y), x * (1 - y), (1 - x) * y, x * y];
    this.link.send('/z/mix', 'z', ...NAMES.flatMap((name, n) => [slotOf(name), weights[n]]));
  }

  show() {
    this.dot.style.left = `${100 * this.x}%`;
    this.dot.style.top = `${100 * this.y}%`;
    this.buttons.forEach((button, n) => {
      const label = this.kept[NAMES[n]]?.label.replaceAll('_', ' ');
      button.textContent = `${NAMES[n]}: ${label || 'random'}`;
    });
  }
}
