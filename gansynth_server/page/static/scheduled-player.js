// Plays blocks where there is no AudioWorklet (pages that do not come over https, from another
// machine): each is a buffer with a time of its own. The thread that draws plays, so it is given
// more blocks ahead.

const STEP_MS = 10;
const RETRY_S = 0.25;

export class ScheduledPlayer {
  constructor(context, output, link, report) {
    Object.assign(this, {context, output, link, report});
    this.late = this.peak = this.steps = 0;
    this.tap = null;
    this.reset({block: 512, ahead: 0});
    link.onmessage = ({data: {number, samples}}) => this.take(number, samples);
    setInterval(() => this.step(), STEP_MS);
  }

  reset({block, ahead}) {
    Object.assign(this, {block, ahead, blocks: new Map(), number: 0, asked: 0, due: 0, asking: 0});
  }

  get period() { return this.block / this.context.sampleRate; }

  take(number, samples) {
    if (number < this.number || number >= this.asked) return;
    this.blocks.set(number, samples);
    if (this.due === 0 && this.blocks.size < this.ahead) return;
    for (; this.blocks.has(this.number); this.number++) this.schedule(this.blocks.get(this.number));
  }

  schedule(samples) {
    const now = this.context.currentTime;
    if (this.due <= now) {
      if (this.due > 0) this.late += Math.ceil((now - this.due) / this.period) || 1;
      this.due = now + this.period;
    }
    const buffer = this.context.createBuffer(2, this.block, this.context.sampleRate);
    const sides = [samples.subarray(0, this.block), samples.subarray(this.block)];
    sides.forEach((side, channel) => buffer.copyToChannel(side, channel));
    const source = new AudioBufferSourceNode(this.context, {buffer});
    source.connect(this.output);
    source.start(this.due);
    this.due += this.period;
    this.blocks.delete(this.number);
    for (const value of samples) this.peak = Math.max(this.peak, Math.abs(value));
    this.tap?.(sides);
  }

  step() {
    if (this.ahead === 0) return;
    const now = this.context.currentTime;
    const waiting = this.due > 0 ? Math.max(0, (this.due - now) / this.period) : 0;
    const wanted = this.number + this.ahead - Math.ceil(waiting);
    if (this.asked > this.number && now - this.asking > RETRY_S) this.asked = this.number;
    while (this.asked < wanted) {
      this.link.postMessage(this.asked++);
      this.asking = now;
    }
    if (++this.steps * STEP_MS < 100) return;
    this.report({late: this.late, peak: this.peak});
    this.steps = this.peak = 0;
  }
}
