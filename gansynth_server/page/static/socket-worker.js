// The socket, on a thread of its own: blocks of sound pass from it to the player without touching
// the thread that draws, so nothing on the page can make them late.

import {encode, encodeIntegers} from './osc.js';

const RETRY_MS = 1000;
const HEAD = 20; // of a bundle: '#bundle', the time tag, and the size of its first message

let socket = null, url = '', token = '';
let player = null, stream = null; // {id, block}

self.onmessage = ({data}) => {
  if (data instanceof Uint8Array) return send(data);
  if (data.connect) {
    ({url, token} = data.connect);
    connect();
  }
  if (data.player) {
    player = data.player;
    player.onmessage = ({data: number}) => pull(number);
  }
  if (data.reconnect) reconnect();
  if ('stream' in data) stream = data.stream;
};

function connect() {
  socket = new WebSocket(url);
  socket.binaryType = 'arraybuffer';
  socket.onopen = () => {
    send(encode('/login', token));
    self.postMessage({open: true});
  };
  socket.onmessage = ({data}) => take(data);
  socket.onclose = ({code, reason}) => {
    stream = null;
    self.postMessage({closed: {code, reason}});
    if (code !== 1008) setTimeout(connect, RETRY_MS); // a wrong token stays wrong
  };
}

/** Close the socket, so that it is opened again; once, however often it is asked for meanwhile. */
function reconnect() {
  const closing = socket;
  stream = null;
  setTimeout(() => { if (socket === closing) closing.close(); }, RETRY_MS);
}

function send(packet) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(packet);
}

function pull(number) {
  if (stream) send(encodeIntegers('/stream/pull', number, stream.id));
}

function take(buffer) {
  const first = new Uint8Array(buffer, 0, 1)[0];
  if (first === 0x23 /* # */) {
    const block = stream && player && readBlock(buffer, stream.block);
    if (block) player.postMessage(block, [block.samples.buffer]);
  } else {
    self.postMessage(buffer, [buffer]);
  }
}

/** Read the samples, left then right, of a bundle of /b and /r; null for those of another stream. */
function readBlock(buffer, block) {
  const middle = 16 + (buffer.byteLength - 16) / 2, size = 4 * block;
  if (middle - HEAD < size + 8) return null;
  const view = new DataView(buffer), samples = new Float32Array(2 * block);
  for (let n = 0; n < block; n++) {
    samples[n] = view.getFloat32(middle - size + 4 * n);
    samples[block + n] = view.getFloat32(buffer.byteLength - size + 4 * n);
  }
  return {number: view.getFloat32(middle - size - 8), samples};
}
