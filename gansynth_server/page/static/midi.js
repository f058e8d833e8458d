// MIDI keyboards, each channel with its own bend and pressure, as MPE sends them.

export class Midi {
  constructor(notes, link) {
    Object.assign(this, {notes, link, range: 2});
    this.held = new Map(); // channel → pitches
    this.bends = new Map(); // channel → semitones
  }

  static get there() { return 'requestMIDIAccess' in navigator; }

  /** Listen to all inputs, also those to come; return how many there are. */
  async connect() {
    const access = await navigator.requestMIDIAccess();
    const listen = () => access.inputs.forEach((input) => {
      input.onmidimessage = ({data}) => this.take(...data);
    });
    access.onstatechange = listen;
    listen();
    return access.inputs.size;
  }

  take(status, first, second) {
    const kind = status & 0xf0, channel = status & 0x0f;
    if (kind === 0x90 && second > 0) this.start(channel, first, second);
    else if (kind === 0x90 || kind === 0x80) this.stop(channel, first);
    else if (kind === 0xa0) this.link.send('/note/pressure', id(channel, first), second / 127);
    else if (kind === 0xb0) this.control(channel, first, second);
    else if (kind === 0xd0) this.each(channel, '/note/pressure', first / 127);
    else if (kind === 0xe0) this.bend(channel, (second << 7 | first) - 8192);
  }

  start(channel, pitch, velocity) {
    if (!this.held.has(channel)) this.held.set(channel, new Set());
    this.held.get(channel).add(pitch);
    this.notes.last = pitch;
    this.notes.start(id(channel, pitch), pitch, velocity);
    const bend = this.bends.get(channel);
    if (bend) this.link.send('/note/bend', id(channel, pitch), bend);
  }

  stop(channel, pitch) {
    this.held.get(channel)?.delete(pitch);
    this.notes.stop(id(channel, pitch));
  }

  control(channel, number, value) {
    if (number === 64) this.link.send('/pedal', value >= 64 ? 1 : 0);
    if (number === 120) this.notes.silence();
    if (number === 123) this.held.get(channel)?.forEach((pitch) => this.stop(channel, pitch));
  }

  bend(channel, amount) {
    const semitones = this.range * amount / 8192;
    this.bends.set(channel, semitones);
    this.each(channel, '/note/bend', semitones);
  }

  each(channel, address, value) {
    this.held.get(channel)?.forEach((pitch) => this.link.send(address, id(channel, pitch), value));
  }
}

const id = (channel, pitch) => `m${channel}.${pitch}`;
