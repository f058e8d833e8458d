// The sound: this page's stream, played by a worklet, or by scheduled buffers without one.

import {ScheduledPlayer} from './scheduled-player.js';

const BLOCK = 512;
const SPARE = 8; // blocks more where the thread that draws plays
export const LATENCIES = [2, 4, 8, 16]; // blocks ahead; 4 are 43 ms at 48 kHz

export class Sound extends EventTarget {
  constructor(link) {
    super();
    this.link = link;
    this.context = null;
    this.ahead = 4;
    this.late = 0;
    this.latency = 0; // ms
    this.how = '';
    this.recorded = null; // {left: [], right: []}
    this.onHeard = null; // told of all that is played, while recording
    this.startedAt = null;
  }

  get running() { return this.context?.state === 'running'; }

  /** Begin; a browser wants a click or a key before it lets a page sound. */
  async start() {
    if (!this.context) {
      this.context = new AudioContext({latencyHint: 'interactive'});
      this.output = new GainNode(this.context);
      this.analyser = new AnalyserNode(this.context, {fftSize: 2048, smoothingTimeConstant: 0.5});
      this.output.connect(this.analyser).connect(this.context.destination);
      await this.makePlayer();
    }
    await this.context.resume();
    await this.open();
  }

  async makePlayer() {
    const {port1, port2} = new MessageChannel();
    this.link.worker.postMessage({player: port1}, [port1]);
    if (this.context.audioWorklet) {
      await this.context.audioWorklet.addModule('player-worklet.js');
      const node = new AudioWorkletNode(this.context, 'gansynth-player', {outputChannelCount: [2]});
      node.connect(this.output);
      node.port.postMessage({link: port2}, [port2]);
      node.port.onmessage = ({data}) => this.hear(data);
      this.reset = (form) => node.port.postMessage({reset: form});
      this.tap = (on) => node.port.postMessage({tap: on});
      this.how = 'worklet';
    } else {
      const player = new ScheduledPlayer(this.context, this.output, port2, (data) => this.hear(data));
      this.reset = (form) => player.reset(form);
      this.tap = (on) => { player.tap = on ? (heard) => this.hear({heard}) : null; };
      this.how = 'buffers';
    }
  }

  /** Open the stream, in place of the one before: at the start, with another latency, after a break. */
  async open() {
    if (!this.context) return;
    const ahead = this.ahead + (this.how === 'buffers' ? SPARE : 0);
    this.link.worker.postMessage({stream: null});
    this.reset({block: BLOCK, ahead: 0});
    const [, id, latency] = await this.link.ask(
      '/done /stream/open', '/stream/open', this.context.sampleRate, BLOCK, ahead, 2);
    this.latency = latency;
    this.link.worker.postMessage({stream: {id, block: BLOCK}});
    this.reset({block: BLOCK, ahead});
    this.dispatchEvent(new Event('opened'));
  }

  hear(data) {
    if (data.heard) {
      this.recorded?.push(data.heard);
      this.onHeard?.(data);
      return;
    }
    this.late = data.late;
    this.peak = data.peak;
    this.dispatchEvent(new Event('report'));
  }

  record() {
    this.recorded = [];
    this.tap(true);
  }

  /** End the recording, and return it as a WAV of 32-bit floats. */
  stopRecording() {
    const parts = this.recorded;
    this.recorded = null;
    this.tap(false);
    return wav(parts, this.context.sampleRate);
  }
}

function wav(parts, rate) {
  const frames = parts.reduce((sum, [left]) => sum + left.length, 0);
  const view = new DataView(new ArrayBuffer(44 + 8 * frames));
  const word = (at, text) => [...text].forEach((c, n) => view.setUint8(at + n, c.charCodeAt(0)));
  word(0, 'RIFF'); view.setUint32(4, 36 + 8 * frames, true);
  word(8, 'WAVEfmt '); view.setUint32(16, 16, true);
  view.setUint16(20, 3, true); view.setUint16(22, 2, true); // float, two channels
  view.setUint32(24, rate, true); view.setUint32(28, 8 * rate, true);
  view.setUint16(32, 8, true); view.setUint16(34, 32, true);
  word(36, 'data'); view.setUint32(40, 8 * frames, true);
  let at = 44;
  for (const [left, right] of parts) {
    for (let n = 0; n < left.length; n++, at += 8) {
      view.setFloat32(at, left[n], true);
      view.setFloat32(at + 4, right[n], true);
    }
  }
  return new Blob([view.buffer], {type: 'audio/wav'});
}
