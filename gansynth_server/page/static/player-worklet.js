// Plays blocks, and asks for the next as soon as one is done: the sound card is the only clock.

const RETRY_S = 0.25; // without a block; a datagram may have been lost
const REPORT_S = 0.1;

class Player extends AudioWorkletProcessor {
  constructor() {
    super();
    this.late = 0;
    this.quanta = 0; // of the report to come
    this.peak = 0;
    this.tapping = false;
    this.reset({block: 512, ahead: 0});
    this.port.onmessage = ({data}) => {
      if (data.link) {
        this.link = data.link;
        this.link.onmessage = ({data: {number, samples}}) => {
          if (number >= this.number && number < this.asked) this.blocks.set(number, samples);
        };
      }
      if (data.reset) this.reset(data.reset);
      if ('tap' in data) this.tapping = data.tap;
    };
  }

  /** Begin a new stream. Its first blocks are played once all that are asked for ahead are there. */
  reset({block, ahead}) {
    Object.assign(this, {block, ahead});
    this.blocks = new Map();
    this.number = this.at = this.asked = this.waited = 0;
    this.filling = true;
  }

  process(inputs, [output]) {
    if (this.ahead > 0) {
      this.ask();
      this.play(output);
    }
    this.report(output);
    return true;
  }

  ask() {
    while (this.asked < this.number + this.ahead) this.link.postMessage(this.asked++);
  }

  play(output) {
    const frames = output[0].length;
    for (let done = 0; done < frames;) {
      const samples = this.next();
      if (!samples) return; // the rest is silent
      const part = Math.min(frames - done, this.block - this.at);
      for (let channel = 0; channel < 2; channel++) {
        const from = channel * this.block + this.at;
        output[channel].set(samples.subarray(from, from + part), done);
      }
      done += part;
      this.at += part;
      if (this.at === this.block) this.advance();
    }
  }

  advance() {
    this.blocks.delete(this.number);
    this.number++;
    this.at = 0;
    this.ask();
  }

  /** The block to be played, or null while it is waited for. */
  next() {
    const samples = this.blocks.get(this.number);
    if (this.filling && this.blocks.size < this.ahead) return this.wait(false);
    if (!samples) return this.wait(true);
    this.filling = false;
    this.waited = 0;
    return samples;
  }

  wait(missed) {
    const step = 128 / sampleRate, before = this.waited;
    this.waited += step;
    // late as often as blocks could have been played meanwhile
    const blocks = (seconds) => Math.ceil(seconds * sampleRate / this.block);
    if (missed) this.late += blocks(this.waited) - blocks(before);
    if (this.waited > RETRY_S) {
      this.waited = step;
      for (let n = this.number; n < this.asked; n++) {
        if (!this.blocks.has(n)) this.link.postMessage(n);
      }
    }
    return null;
  }

  report(output) {
    for (const channel of output) {
      for (const value of channel) this.peak = Math.max(this.peak, Math.abs(value));
    }
    if (this.tapping) {
      const heard = output.map((channel) => channel.slice());
      this.port.postMessage({heard, frame: currentFrame, now: Date.now()}, heard.map((c) => c.buffer));
    }
    if (++this.quanta * 128 < REPORT_S * sampleRate) return;
    this.port.postMessage({late: this.late, peak: this.peak});
    this.quanta = this.peak = 0;
  }
}

registerProcessor('gansynth-player', Player);
