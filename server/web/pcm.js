/** 16-bit samples: from bytes that arrive in arbitrary parts, and to WAV files. */

const FULL_SCALE = 32768;

/** Converts bytes, cut anywhere, to samples. */
export class PcmReader {
  constructor() {
    this.rest = new Uint8Array(0);
  }

  /** @param {Uint8Array} bytes little-endian. */
  read(bytes) {
    const all = new Uint8Array(this.rest.length + bytes.length);
    all.set(this.rest);
    all.set(bytes, this.rest.length);
    const samples = new Float32Array(all.length >> 1);
    const view = new DataView(all.buffer);
    for (let i = 0; i < samples.length; i++) samples[i] = view.getInt16(2 * i, true) / FULL_SCALE;
    this.rest = all.slice(2 * samples.length);
    return samples;
  }
}

/** @returns {Blob} a mono WAV file with its correct length. */
export function wavFile(samples, rate) {
  const view = new DataView(new ArrayBuffer(44 + 2 * samples.length));
  const ascii = (at, text) => [...text].forEach((c, i) => view.setUint8(at + i, c.charCodeAt(0)));
  ascii(0, "RIFF");
  view.setUint32(4, 36 + 2 * samples.length, true);
  ascii(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true); // PCM
  view.setUint16(22, 1, true); // mono
  view.setUint32(24, rate, true);
  view.setUint32(28, 2 * rate, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  ascii(36, "data");
  view.setUint32(40, 2 * samples.length, true);
  samples.forEach((sample, i) => {
    const level = Math.round(sample * FULL_SCALE);
    view.setInt16(44 + 2 * i, Math.max(-FULL_SCALE, Math.min(FULL_SCALE - 1, level)), true);
  });
  return new Blob([view], { type: "audio/wav" });
}
