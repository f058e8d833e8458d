// Timbres by name: presets, and those that were kept in this browser.

const STORE = 'gansynth-kept';

export class Library extends EventTarget {
  constructor({search, presets, kept}, timbre) {
    super();
    Object.assign(this, {search, presets, kept, timbre, entries: [], checkpoint: ''});
    search.addEventListener('input', () => this.show());
  }

  load(checkpoint, entries) {
    Object.assign(this, {checkpoint, entries});
    this.show();
    this.showKept();
  }

  /** The timbres that were kept of this checkpoint; those of others mean nothing to it. */
  get own() { return this.stored().filter((entry) => entry.checkpoint === this.checkpoint); }

  keep({z, place, label}) {
    const name = prompt('Keep this timbre as', label.replaceAll('_', ' ') || 'timbre');
    if (!name) return;
    const rounded = z.map((value) => Math.round(1e4 * value) / 1e4);
    this.store([...this.stored(), {checkpoint: this.checkpoint, name, z: rounded, place}]);
  }

  show() {
    const words = this.search.value.toLowerCase().split(/[\s_]+/);
    const found = this.entries.filter(({name, family}) =>
      words.every((word) => `${name} ${family}`.includes(word)));
    this.presets.replaceChildren(...found.map((entry) => this.item(entry)));
  }

  showKept() {
    this.kept.replaceChildren(...this.own.map((entry) => {
      const item = document.createElement('li');
      item.append(
        button(`★ ${entry.name}`, () => this.timbre.set({...entry, label: entry.name})),
        button('×', () => this.forget(entry), `Forget ${entry.name}`));
      return item;
    }));
    this.dispatchEvent(new Event('kept'));
  }

  item({name, family, place}) {
    const item = document.createElement('li');
    const choose = button(name.replaceAll('_', ' '), () => this.timbre.preset(name, place));
    if (family && family !== name) {
      choose.append(Object.assign(document.createElement('small'), {textContent: family.replaceAll('_', ' ')}));
    }
    item.append(choose);
    return item;
  }

  forget(entry) {
    this.store(this.stored().filter(({name, z}) => name !== entry.name || String(z) !== String(entry.z)));
  }

  stored() {
    try {
      return JSON.parse(localStorage.getItem(STORE)) ?? [];
    } catch {
      return []; // no storage, or another program's words
    }
  }

  store(entries) {
    try {
      localStorage.setItem(STORE, JSON.stringify(entries));
    } catch { /* a private window: kept until it is closed, if at all */ }
    this.showKept();
  }
}

export function button(text, act, label) {
  const element = Object.assign(document.createElement('button'), {textContent: text, type: 'button'});
  if (label) element.ariaLabel = label;
  element.addEventListener('click', act);
  return element;
}
