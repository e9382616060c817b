/** Mel spectrogram of audio as it arrives, and the waveform's extent in the same columns. */

import { Fft } from "./fft.js";

export const ROWS = 144;
export const COLUMNS_A_SECOND = 200;

const WINDOW_S = 0.032;
const LOUDEST_DB = -12;
const RANGE_DB = 78;

const mel = (hz) => 2595 * Math.log10(1 + hz / 700);
const hertz = (mels) => 700 * (10 ** (mels / 2595) - 1);

/** Position of a frequency on the mel scale between 0 and half the sample rate, from 0 to 1. */
export function height(hz, rate) {
  return mel(hz) / mel(rate / 2);
}

export class Spectrogram {
  /**
   * @param {number} rate sample rate in Hz.
   * @param {(levels: Uint8Array, low: number, high: number) => void} column is called with each
   *   column: levels (ROWS, lowest frequency first, 0 to 255), and the extent of the waveform.
   */
  constructor(rate, column) {
    this.column = column;
    this.hop = Math.round(rate / COLUMNS_A_SECOND);
    const length = Math.round(WINDOW_S * rate);
    // Zero-padded to twice the window, for a smoother spectrum.
    this.fft = new Fft(2 ** Math.ceil(Math.log2(length) + 1));
    this.window = Float32Array.from(
      { length },
      (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * (i + 0.5)) / length),
    );
    this.scale = (2 / this.window.reduce((sum, value) => sum + value)) ** 2;
    this.filters = filters(rate, this.fft.size);
    this.input = new Float32Array(this.fft.size);
    this.power = new Float32Array(this.fft.size / 2 + 1);
    this.levels = new Uint8Array(ROWS);
    this.before = (length - this.hop) >> 1; // samples of a window before those of its column
    this.kept = new Float32Array(this.before);
  }

  push(samples) {
    const kept = new Float32Array(this.kept.length + samples.length);
    kept.set(this.kept);
    kept.set(samples, this.kept.length);
    let first = 0;
    for (; first + this.window.length <= kept.length; first += this.hop) {
      this.analyse(kept.subarray(first, first + this.window.length));
    }
    this.kept = kept.slice(first);
  }

  /** The columns of the last samples, whose windows extend past the end. */
  finish() {
    this.push(new Float32Array(this.window.length - this.before - 1));
  }

  analyse(samples) {
    const { input, window, power, levels, filters, before, hop } = this;
    for (let i = 0; i < window.length; i++) input[i] = samples[i] * window[i];
    this.fft.power(input, power);
    filters.forEach(({ first, weights }, row) => {
      let sum = 1e-12;
      for (let i = 0; i < weights.length; i++) sum += weights[i] * power[first + i];
      const db = 10 * Math.log10(sum * this.scale);
      levels[row] = Math.max(0, Math.min(255, 255 * (1 + (db - LOUDEST_DB) / RANGE_DB)));
    });
    let low = 0;
    let high = 0;
    for (let i = before; i < before + hop; i++) {
      low = Math.min(low, samples[i]);
      high = Math.max(high, samples[i]);
    }
    this.column(levels, low, high);
  }
}

/** Triangular filters around the rows' frequencies, at least two bins wide to interpolate. */
function filters(rate, size) {
  const step = mel(rate / 2) / ROWS;
  const bin = (mels) => (hertz(mels) * size) / rate;
  return Array.from({ length: ROWS }, (_, row) => {
    const centre = bin((row + 0.5) * step);
    const half = Math.max(1, bin((row + 1) * step) - bin((row + 0.5) * step));
    const first = Math.max(0, Math.ceil(centre - half));
    const last = Math.min(size / 2, Math.floor(centre + half));
    const weights = [];
    for (let i = first; i <= last; i++) weights.push(1 - Math.abs(i - centre) / half);
    const sum = weights.reduce((total, weight) => total + weight, 0) || 1;
    return { first, weights: weights.map((weight) => weight / sum) };
  });
}
