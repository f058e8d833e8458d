// Notes of this page: which sound, under which ids, and what holds them.

export class Notes extends EventTarget {
  constructor(link) {
    super();
    this.link = link;
    this.down = new Map(); // pitch → how many keys, fingers and devices hold it
    this.last = 60;
    this.shape = [0]; // of the chord that a key plays: semitones above it
  }

  /** Start the note of a key, or the chord. */
  press(pitch, velocity) {
    this.last = pitch;
    for (const step of this.shape) this.hold(pitch + step, velocity);
    this.dispatchEvent(new Event('change'));
  }

  release(pitch) {
    for (const step of this.shape) this.drop(pitch + step);
    this.dispatchEvent(new Event('change'));
  }

  /** Release everything that is held, before the shape of chords changes or the page loses sight. */
  releaseAll() {
    for (const pitch of this.down.keys()) this.link.send('/note/off', `k${pitch}`);
    this.down.clear();
    this.dispatchEvent(new Event('change'));
  }

  start(id, pitch, velocity, slot = 'z') { this.link.send('/note', pitch, velocity, id, slot); }

  stop(id) { this.link.send('/note/off', id); }

  silence() {
    this.link.send('/allsoundoff');
    this.link.send('/hallucinate/stop');
    this.down.clear();
    this.dispatchEvent(new Event('change'));
  }

  hold(pitch, velocity) {
    if (pitch < 0 || pitch > 127) return;
    const before = this.down.get(pitch) ?? 0;
    this.down.set(pitch, before + 1);
    if (before === 0) this.start(`k${pitch}`, pitch, velocity);
  }

  drop(pitch) {
    const left = (this.down.get(pitch) ?? 0) - 1;
    if (left > 0) return void this.down.set(pitch, left);
    if (this.down.delete(pitch)) this.stop(`k${pitch}`);
  }
}
