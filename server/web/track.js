/** Audio that has arrived or is arriving: mono samples in [-1, 1], and their words. */

/**
 * Emits "samples" (detail: Float32Array) and "sentence" (detail: its text and words) as it grows,
 * "end" when it is complete.
 */
export class Track extends EventTarget {
  /** @param {number} rate sample rate in Hz. */
  constructor(rate) {
    super();
    this.rate = rate;
    this.chunks = [];
    this.length = 0;
    this.words = [];
    this.expected = 0; // expected length in seconds, if known
    this.complete = false;
  }

  get seconds() {
    return this.length / this.rate;
  }

  /** Length in seconds, including audio that is still expected. */
  get extent() {
    return this.complete ? this.seconds : Math.max(this.seconds, this.expected);
  }

  append(samples) {
    if (!samples.length) return;
    this.chunks.push(samples);
    this.length += samples.length;
    this.dispatchEvent(new CustomEvent("samples", { detail: samples }));
  }

  /** @param {{text: string, words: {text: string, start_s: number, end_s: number}[]}} sentence */
  addSentence(sentence) {
    this.words.push(...sentence.words);
    this.expected = Math.max(this.expected, ...sentence.words.map((word) => word.end_s));
    this.dispatchEvent(new CustomEvent("sentence", { detail: sentence }));
  }

  finish() {
    if (this.complete) return;
    this.complete = true;
    this.dispatchEvent(new Event("end"));
  }

  /** Samples from `first` on, as one array. */
  slice(first = 0) {
    const samples = new Float32Array(Math.max(0, this.length - first));
    let at = -first;
    for (const chunk of this.chunks) {
      if (at >= 0) samples.set(chunk, at);
      else if (at + chunk.length > 0) samples.set(chunk.subarray(-at), 0);
      at += chunk.length;
    }
    return samples;
  }
}
