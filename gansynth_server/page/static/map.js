// The timbre map: thousands of timbres, laid out by how they sound. The points are drawn once; what
// moves over them is drawn on each frame that needs it.

const PAD = 16, SNAP_PX = 9, SCALE_PX = 90, TRAIL_MS = 1500;
const RAMP = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [230, 205, 40]]; // dark to light
const MIN_NAMED = 20; // points of a family whose name is written
const WORDS = {synth_effects: 'effects', chromatic_percussion: 'chromatic'};

export class TimbreMap extends EventTarget {
  constructor(canvas, tip) {
    super();
    Object.assign(this, {canvas, tip, data: null, by: 'family', kept: [], trail: []});
    this.points = document.createElement('canvas');
    this.place = null; // of the current timbre; exact is false where it is only like what is there
    this.exact = true;
    this.pointed = -1;
    this.cursor = null; // of the keyboard
    for (const [type, listener] of Object.entries({
      pointermove: this.move, pointerdown: this.press, pointerup: this.lift, pointercancel: this.lift,
      pointerleave: this.leave, keydown: this.key, blur: this.leave,
    })) canvas.addEventListener(type, listener.bind(this));
    new ResizeObserver(() => this.resize()).observe(canvas);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.redraw());
  }

  load(data) {
    this.data = data;
    this.hues = new Map();
    for (const [family] of data ? this.members() : []) this.hues.set(family, hue(this.hues.size));
    this.pointed = -1;
    this.trail = [];
    this.redraw();
  }

  colour(by) {
    this.by = by;
    this.redraw();
  }

  show(place, exact) {
    Object.assign(this, {place, exact});
    this.request();
  }

  // where things are

  resize() {
    const {clientWidth, clientHeight} = this.canvas, scale = devicePixelRatio;
    for (const canvas of [this.canvas, this.points]) {
      canvas.width = Math.round(clientWidth * scale);
      canvas.height = Math.round(clientHeight * scale);
    }
    this.redraw();
  }

  toPixels(x, y) {
    const {clientWidth, clientHeight} = this.canvas;
    return [PAD + x * (clientWidth - 2 * PAD), PAD + (1 - y) * (clientHeight - 2 * PAD)];
  }

  toPlace(left, top) {
    const {clientWidth, clientHeight} = this.canvas;
    const inside = (value) => Math.min(1, Math.max(0, value));
    return {
      x: inside((left - PAD) / (clientWidth - 2 * PAD)),
      y: inside(1 - (top - PAD) / (clientHeight - 2 * PAD)),
    };
  }

  nearest(left, top) {
    let best = -1, least = Infinity;
    for (let n = 0; n < this.data.x.length; n++) {
      const [x, y] = this.toPixels(this.data.x[n], this.data.y[n]);
      const distance = (x - left) ** 2 + (y - top) ** 2;
      if (distance < least) [best, least] = [n, distance];
    }
    return {index: best, distance: Math.sqrt(least)};
  }

  /** The place under a pointer: that of a point if one is close. */
  at(left, top) {
    const {index, distance} = this.nearest(left, top);
    const place = distance < SNAP_PX ? {x: this.data.x[index], y: this.data.y[index]} : this.toPlace(left, top);
    return {...place, index, name: this.nameOf(index)};
  }

  nameOf(index) { return this.data.presets[this.data.nearest[index]].name; }

  /** The names of presets that sound most like what is at a place. */
  likes({x, y}, count) {
    const far = (n) => (this.data.x[n] - x) ** 2 + (this.data.y[n] - y) ** 2;
    const order = [...this.data.x.keys()].sort((a, b) => far(a) - far(b));
    return [...new Set(order.map((n) => this.nameOf(n)))].slice(0, count);
  }

  // what the user does

  move(event) {
    if (!this.data) return;
    const at = this.at(event.offsetX, event.offsetY);
    if (this.dragging) {
      this.pointed = -1;
      this.trail.push({...this.toPlace(event.offsetX, event.offsetY), time: performance.now()});
      this.tell('drag', at);
    } else if (event.pointerType !== 'touch' && at.index !== this.pointed) {
      this.pointed = at.index;
      this.tell('point', at);
    }
    this.showTip(at, event.offsetX, event.offsetY);
    this.request();
  }

  press(event) {
    if (!this.data || event.button !== 0) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.dragging = true;
    this.trail = [];
    const at = this.at(event.offsetX, event.offsetY);
    this.tell('press', at);
    this.showTip(at, event.offsetX, event.offsetY);
  }

  lift(event) {
    if (!this.dragging) return;
    this.dragging = false;
    this.tell('lift', this.at(event.offsetX, event.offsetY));
    if (event.pointerType === 'touch') this.leave();
  }

  leave() {
    if (this.dragging) return;
    this.pointed = -1;
    this.cursor = null;
    this.tip.hidden = true;
    this.tell('leave', null);
    this.request();
  }

  key(event) {
    const steps = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1]};
    const step = steps[event.key], inside = (value) => Math.min(1, Math.max(0, value));
    if (!this.data || (!step && event.key !== 'Enter')) return;
    event.preventDefault();
    const {x, y} = this.cursor ?? this.place ?? {x: 0.5, y: 0.5}, size = event.shiftKey ? 0.05 : 0.01;
    if (step) this.cursor = {x: inside(x + size * step[0]), y: inside(y + size * step[1])};
    const [left, top] = this.toPixels((this.cursor ?? {x, y}).x, (this.cursor ?? {x, y}).y);
    const at = this.at(left, top);
    this.showTip(at, left, top);
    this.pointed = at.index;
    this.tell(step ? 'point' : 'choose', at);
    this.request();
  }

  tell(type, detail) { this.dispatchEvent(new CustomEvent(type, {detail})); }

  showTip({index, name}, left, top) {
    const words = this.data.measures.flatMap(({words: [low, high], ranks}) =>
      ranks[index] < 15 ? [low] : ranks[index] > 85 ? [high] : []);
    this.tip.textContent = [name.replaceAll('_', ' '), ...words].join(', ');
    this.tip.hidden = false;
    const room = this.canvas.clientWidth - this.tip.offsetWidth - 8;
    this.tip.style.left = `${Math.max(8, Math.min(room, left + 14))}px`;
    this.tip.style.top = `${top < 48 ? top + 18 : top - 34}px`;
  }

  // drawing

  redraw() {
    if (!this.points.width) return;
    const styles = getComputedStyle(this.canvas);
    this.colours = Object.fromEntries(['card', 'text', 'accent', 'faint'].map(
      (name) => [name, styles.getPropertyValue(`--${name}`)]));
    this.dark = matchMedia('(prefers-color-scheme: dark)').matches;
    const context = this.points.getContext('2d'), scale = devicePixelRatio;
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, this.points.width, this.points.height);
    if (this.data) {
      this.drawPoints(context);
      if (this.by === 'family') this.drawNames(context);
      else this.drawScale(context);
    }
    this.request();
  }

  drawPoints(context) {
    const radius = Math.max(1.6, Math.min(3.4, this.canvas.clientWidth / 260));
    const measure = this.data.measures.find(({name}) => name === this.by);
    this.data.x.forEach((x, n) => {
      const [left, top] = this.toPixels(x, this.data.y[n]);
      const preset = this.data.presets[this.data.nearest[n]];
      context.fillStyle = measure ? this.ramp(measure.ranks[n] / 100) : this.familyColour(preset.family, 1);
      context.globalAlpha = 0.85;
      context.beginPath();
      context.arc(left, top, radius, 0, 7);
      context.fill();
    });
    context.globalAlpha = 1;
  }

  /** Write each family amid its points, unless another name is there. */
  drawNames(context) {
    const taken = [];
    context.font = '600 12px system-ui, sans-serif';
    context.textAlign = 'center';
    context.lineJoin = 'round';
    context.lineWidth = 4;
    for (const [family, members] of this.members()) {
      if (members.length < MIN_NAMED) continue;
      const middle = (values) => values.sort((a, b) => a - b)[values.length >> 1];
      const word = WORDS[family] ?? family.replaceAll('_', ' ');
      const half = context.measureText(word).width / 2;
      let [left, top] = this.toPixels(
        middle(members.map((n) => this.data.x[n])), middle(members.map((n) => this.data.y[n])));
      left = Math.min(this.canvas.clientWidth - half - 4, Math.max(half + 4, left));
      const box = {left: left - half, right: left + half, top};
      if (taken.some((t) => t.left < box.right && box.left < t.right && Math.abs(t.top - top) < 14)) continue;
      taken.push(box);
      context.strokeStyle = this.colours.card;
      context.strokeText(word, left, top);
      context.fillStyle = this.familyColour(family, this.dark ? 1.15 : 0.72);
      context.fillText(word, left, top);
    }
  }

  /** Write what the colours of a measure mean, in a corner. */
  drawScale(context) {
    const {words: [low, high]} = this.data.measures.find(({name}) => name === this.by);
    const top = this.canvas.clientHeight - 20, left = 14;
    context.font = '12px system-ui, sans-serif';
    context.textAlign = 'left';
    context.fillStyle = this.colours.text;
    context.fillText(low, left, top + 9);
    const begin = left + context.measureText(low).width + 8;
    context.fillText(high, begin + SCALE_PX + 8, top + 9);
    for (let n = 0; n < SCALE_PX; n++) {
      context.fillStyle = this.ramp(n / SCALE_PX);
      context.fillRect(begin + n, top, 1, 10);
    }
  }

  /** The colour of a rank, 0 to 1; without the darkest ones on a dark ground. */
  ramp(rank) { return ramp(this.dark ? 0.2 + 0.8 * rank : rank); }

  /** Families and their points, those of most points first. */
  members() {
    const found = new Map();
    this.data.nearest.forEach((preset, n) => {
      const {family} = this.data.presets[preset];
      if (!found.has(family)) found.set(family, []);
      found.get(family).push(n);
    });
    return [...found].sort((a, b) => b[1].length - a[1].length);
  }

  familyColour(family, light) {
    const level = (this.dark ? 0.74 : 0.62) * light;
    return `oklch(${level.toFixed(2)} 0.15 ${this.hues.get(family)})`; // equally light to the eye
  }

  request() {
    if (this.requested) return;
    this.requested = true;
    requestAnimationFrame(() => {
      this.requested = false;
      this.draw();
    });
  }

  draw() {
    if (!this.points.width) return;
    const context = this.canvas.getContext('2d'), scale = devicePixelRatio;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    context.drawImage(this.points, 0, 0);
    context.setTransform(scale, 0, 0, scale, 0, 0);
    this.drawTrail(context);
    for (const {place} of this.kept) if (place) this.drawText(context, '★', place);
    if (this.pointed >= 0) this.ring(context, {x: this.data.x[this.pointed], y: this.data.y[this.pointed]}, 6, true, 1.5);
    if (this.cursor) this.drawText(context, '+', this.cursor);
    if (this.place) this.ring(context, this.place, 10, this.exact, 3);
  }

  drawTrail(context) {
    const now = performance.now();
    this.trail = this.trail.filter(({time}) => this.dragging || now - time < TRAIL_MS);
    context.lineWidth = 2.5;
    context.lineCap = 'round';
    context.strokeStyle = this.colours.accent;
    for (let n = 1; n < this.trail.length; n++) {
      const {x, y, time} = this.trail[n];
      context.globalAlpha = Math.max(this.dragging ? 0.4 : 0, 1 - (now - time) / TRAIL_MS);
      context.beginPath();
      context.moveTo(...this.toPixels(this.trail[n - 1].x, this.trail[n - 1].y));
      context.lineTo(...this.toPixels(x, y));
      context.stroke();
    }
    context.globalAlpha = 1;
    if (this.trail.length) this.request();
  }

  ring(context, {x, y}, radius, whole, width) {
    context.setLineDash(whole ? [] : [4, 4]);
    for (const [colour, more] of [[this.colours.card, 3], [this.colours.text, 0]]) {
      context.lineWidth = width + more;
      context.strokeStyle = colour;
      context.beginPath();
      context.arc(...this.toPixels(x, y), radius, 0, 7);
      context.stroke();
    }
    context.setLineDash([]);
  }

  drawText(context, text, {x, y}) {
    context.font = '16px system-ui, sans-serif';
    context.textAlign = 'center';
    context.textBaseline = 'middle';
    context.lineWidth = 4;
    context.lineJoin = 'round';
    context.strokeStyle = this.colours.card;
    context.strokeText(text, ...this.toPixels(x, y));
    context.fillStyle = this.colours.text;
    context.fillText(text, ...this.toPixels(x, y));
    context.textBaseline = 'alphabetic';
  }
}

/** Return hues by turns far apart, so that the families of most points are told apart best. */
function hue(n) {
  let parts = 0;
  for (let bit = 0; bit < 4; bit++) parts = parts << 1 | (n >> bit & 1);
  return 29 + 22.5 * parts;
}

function ramp(value) {
  const at = Math.min(0.999, value) * (RAMP.length - 1), n = Math.floor(at);
  const mixed = RAMP[n].map((from, k) => Math.round(from + (at - n) * (RAMP[n + 1][k] - from)));
  return `rgb(${mixed})`;
}
