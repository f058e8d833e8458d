// OSC 1.0 packets: what the server sends (i, f, s, b) and what it takes.

const text = new TextEncoder(), read = new TextDecoder();
const padded = (length) => (length + 4) & ~3; // with one NUL at least

/** Encode a message; numbers become floats, bytes and arrays of floats become blobs. */
export function encode(address, ...args) {
  let tags = ',';
  const parts = [];
  for (const arg of args) {
    if (typeof arg === 'number') {
      const bytes = new DataView(new ArrayBuffer(4));
      bytes.setFloat32(0, arg);
      parts.push(new Uint8Array(bytes.buffer));
      tags += 'f';
    } else if (typeof arg === 'string') {
      parts.push(string(arg));
      tags += 's';
    } else {
      parts.push(blob(arg));
      tags += 'b';
    }
  }
  return joined([string(address), string(tags), ...parts]);
}

/** Decode a message; null for what is none. */
export function decode(buffer) {
  const view = new DataView(buffer);
  let at = 0;
  const nextString = () => {
    const bytes = new Uint8Array(buffer, at);
    const end = bytes.indexOf(0);
    if (end < 0) throw new RangeError('a string without an end');
    at += padded(end);
    return read.decode(bytes.subarray(0, end));
  };
  try {
    const address = nextString();
    if (!address.startsWith('/')) return null;
    const args = [];
    for (const tag of nextString().slice(1)) {
      if (tag === 's') {
        args.push(nextString());
      } else if (tag === 'b') {
        const length = view.getInt32(at);
        args.push(buffer.slice(at + 4, at + 4 + length));
        at += 4 + ((length + 3) & ~3);
      } else {
        args.push(tag === 'i' ? view.getInt32(at) : view.getFloat32(at));
        at += 4;
      }
    }
    return {address, args};
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}

/** Encode a message whose arguments are integers, quickly. */
export function encodeIntegers(address, ...numbers) {
  const head = joined([string(address), string(`,${'i'.repeat(numbers.length)}`)]);
  const packet = new Uint8Array(head.length + 4 * numbers.length);
  packet.set(head);
  const view = new DataView(packet.buffer);
  numbers.forEach((number, n) => view.setInt32(head.length + 4 * n, number));
  return packet;
}

function string(value) {
  const bytes = text.encode(value);
  const packed = new Uint8Array(padded(bytes.length));
  packed.set(bytes);
  return packed;
}

function blob(floats) {
  const packed = new DataView(new ArrayBuffer(4 + 4 * floats.length));
  packed.setInt32(0, 4 * floats.length);
  floats.forEach((value, n) => packed.setFloat32(4 + 4 * n, value));
  return new Uint8Array(packed.buffer);
}

function joined(parts) {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
