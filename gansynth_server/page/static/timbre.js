// The timbre that keys play: slot z of this page's client, how it came to be, and the way back.

const SLOT = 'z';
const MAX_HISTORY = 100;

export class Timbre extends EventTarget {
  constructor(link) {
    super();
    this.link = link;
    this.current = null; // {z, place, label}
    this.history = [];
    this.likes = []; // names of the presets nearest to it
    this.turns = 0;
  }

  /** Take the timbre at a place of the map. */
  choose(place, label) { this.change(() => this.morph(place), {place, label}); }

  /** Move to a place of the map, as one of many steps; notes that sound follow. */
  morph({x, y}) { this.link.send('/map', x, y, SLOT); }

  preset(name, place = null) {
    this.change(() => this.link.send('/z/preset', SLOT, name), {place, label: name});
  }

  random() { this.change(() => this.link.send('/z/random', SLOT), {label: 'random'}); }

  set({z, place, label}) { this.change(() => this.send(z), {place, label}); }

  undo() {
    const before = this.history.pop();
    if (!before) return;
    this.send(before.z);
    this.look(before);
  }

  /** Send the timbre again, to a server that does not know this page yet. */
  restore() {
    if (this.current) this.send(this.current.z);
    this.look(this.current ?? {});
  }

  /** Take note of a change that another control has made. */
  edited() { this.look(this.current ?? {}, false); }

  change(act, {place = null, label = ''}) {
    if (this.current) this.history.push(this.current);
    if (this.history.length > MAX_HISTORY) this.history.shift();
    act();
    this.look({place, label});
  }

  send(z) { this.link.send('/z/set', SLOT, z); }

  /** Ask what the slot holds now, and what that is like. */
  async look({place = null, label = ''}, anew = true) {
    const turn = ++this.turns;
    if (anew) this.dispatchEvent(new CustomEvent('moved', {detail: {place, label}}));
    const [[, ...z], [, ...pairs]] = await Promise.all([
      this.link.ask('/z', '/z/get', SLOT),
      this.link.ask('/z/nearest.reply', '/z/nearest', SLOT, 6),
    ]);
    if (turn !== this.turns) return;
    this.current = {z, place, label};
    this.likes = pairs.filter((name, n) => n % 2 === 0); // without their angles
    this.dispatchEvent(new Event('known'));
  }
}
