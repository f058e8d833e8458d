// The way to the server: messages out, replies in. The socket itself lives in a worker.

import {decode, encode} from './osc.js';

const TIMEOUT_MS = 5000;

export class Link extends EventTarget {
  constructor(url, token) {
    super();
    this.waiting = []; // {matches, resolve}
    this.worker = new Worker('socket-worker.js', {type: 'module'});
    this.worker.onmessage = ({data}) => this.take(data);
    this.worker.postMessage({connect: {url, token}});
  }

  send(address, ...args) {
    const packet = encode(address, ...args);
    this.worker.postMessage(packet, [packet.buffer]);
  }

  /** Send, and return a promise of the arguments of the reply; it fails with the server's words. */
  ask(reply, address, ...args) {
    const answered = this.reply(reply, address);
    this.send(address, ...args);
    return answered;
  }

  /** Return a promise of a reply: its address, or '/done' and the address that it answers. */
  reply(reply, address) {
    const [name, about] = reply.split(' ');
    return new Promise((resolve, reject) => {
      const entry = {
        matches: (message) => message.address === name && (!about || message.args[0] === about),
        fails: (message) => message.address === '/fail' && message.args[0] === address,
        resolve, reject,
      };
      this.waiting.push(entry);
      setTimeout(() => {
        if (this.drop(entry)) reject(new Error(`no answer to ${address}`));
      }, TIMEOUT_MS);
    });
  }

  on(address, listener) {
    this.addEventListener(address, ({detail}) => listener(...detail));
  }

  take(data) {
    if (data.open) return void this.tell('open', []);
    if (data.closed) return void this.tell('closed', [data.closed]);
    const message = decode(data);
    if (!message) return;
    const answered = this.waiting.find((entry) => entry.matches(message));
    const failed = this.waiting.find((entry) => entry.fails(message));
    if (answered && this.drop(answered)) answered.resolve(message.args);
    if (failed && this.drop(failed)) failed.reject(new Error(message.args[1]));
    this.tell(message.address, message.args);
  }

  tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, {detail}));
  }

  drop(entry) {
    const place = this.waiting.indexOf(entry);
    if (place >= 0) this.waiting.splice(place, 1);
    return place >= 0;
  }
}
