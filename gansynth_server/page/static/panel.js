// Sliders: the shape of the timbre, and the envelope of the notes to come.

const ENVELOPE = [ // name, unit, from, to, default; times are on a scale of squares
  ['attack', 's', 0, 4, 0.005],
  ['decay', 's', 0, 4, 0],
  ['sustain', '', 0, 1, 1],
  ['release', 's', 0, 6, 0.3],
];
const COMPONENTS = 8;

/** Add a slider to a list: words at its ends, and what it does. */
function slider(parent, [left, right], attributes, act) {
  const label = document.createElement('label');
  const input = document.createElement('input');
  Object.assign(input, {type: 'range', ...attributes});
  input.ariaLabel = attributes.name;
  const ends = [left, right].map((text) => Object.assign(document.createElement('span'), {textContent: text}));
  label.append(ends[0], input, ends[1]);
  input.addEventListener('input', () => act(Number(input.value), ends[1]));
  parent.append(label);
  return input;
}

/** Sliders that move slot z; they go back to the middle when another timbre is chosen. */
export class ShapePanel {
  constructor(measures, components, link, timbre) {
    Object.assign(this, {measures, components, link, timbre, inputs: []});
    timbre.addEventListener('moved', () => this.reset());
  }

  setMeasures(measures) {
    this.measures.replaceChildren();
    for (const {name, words} of measures) {
      this.add(this.measures, words, name, 3, (value) => [`/z/${name}`, 'z', value]);
    }
  }

  setComponents(count) {
    this.components.replaceChildren();
    for (let n = 0; n < Math.min(count, COMPONENTS); n++) {
      const name = `component ${n + 1}`;
      this.add(this.components, [`${n + 1}`, ''], name, 3, (value) => ['/pca', 'z', n, value]);
    }
  }

  add(parent, ends, name, reach, message) {
    let settled;
    const input = slider(parent, ends, {name, min: -reach, max: reach, step: 0.05, value: 0}, (value) => {
      this.link.send(...message(value));
      clearTimeout(settled);
      settled = setTimeout(() => this.timbre.edited(), 200);
    });
    input.value = 0;
    input.addEventListener('dblclick', () => {
      input.value = 0;
      input.dispatchEvent(new Event('input'));
    });
  }

  reset() {
    for (const input of document.querySelectorAll('#measures input, #components input')) input.value = 0;
  }
}

export class EnvelopePanel {
  constructor(parent, link) {
    this.link = link;
    this.values = {};
    for (const [name, unit, low, high, start] of ENVELOPE) {
      const curved = unit === 's';
      const show = (value) => (curved ? `${value < 0.1 ? Math.round(1000 * value) + ' ms' : value.toFixed(2) + ' s'}` : `${Math.round(100 * value)} %`);
      const position = curved ? Math.sqrt((start - low) / (high - low)) : start;
      this.values[name] = start;
      const input = slider(parent, [name, show(start)], {name, min: 0, max: 1, step: 0.005}, (at, text) => {
        this.values[name] = curved ? low + (high - low) * at ** 2 : at;
        text.textContent = show(this.values[name]);
        this.send();
      });
      input.value = position;
    }
  }

  send() {
    const {attack, decay, sustain, release} = this.values;
    this.link.send('/envelope', attack, decay, sustain, release);
  }
}
