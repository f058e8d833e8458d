// What is heard, as a spectrogram that scrolls: time to the right, pitch upwards.

const LOW_HZ = 60, STEP_PX = 1;

export function drawSpectrogram(canvas, sound) {
  const context = canvas.getContext('2d', {willReadFrequently: false});
  const {width, height} = canvas;
  let bins = null;
  const column = context.createImageData(STEP_PX, height);
  const draw = () => {
    requestAnimationFrame(draw);
    if (!sound.running || document.hidden) return;
    bins ??= new Uint8Array(sound.analyser.frequencyBinCount);
    sound.analyser.getByteFrequencyData(bins);
    const top = sound.context.sampleRate / 2, octaves = Math.log2(Math.min(top, 16000) / LOW_HZ);
    for (let row = 0; row < height; row++) {
      const hertz = LOW_HZ * 2 ** (octaves * (1 - row / height));
      const level = bins[Math.round(hertz / top * (bins.length - 1))] / 255;
      column.data.set([255 * Math.min(1, level * 1.6), 255 * level ** 1.6, 70 + 185 * level * (1 - level), 255 * level ** 0.6], 4 * row);
    }
    context.drawImage(canvas, -STEP_PX, 0);
    context.clearRect(width - STEP_PX, 0, STEP_PX, height);
    context.putImageData(column, width - STEP_PX, 0);
  };
  draw();
}
