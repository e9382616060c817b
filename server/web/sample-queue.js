/** The buffer between network and loudspeaker; runs in the audio thread. */

const PATIENCE = 32; // maximum wait, as a multiple of the first

export class SampleQueue {
  /**
   * @param {number} ratio input samples per output sample: 1 if the audio context runs at the
   *   stream's rate; otherwise the samples are interpolated.
   * @param {number} startCount samples to buffer before playback starts. It doubles after each gap:
   *   if audio arrives too slowly, a few long gaps are better than many short ones.
   */
  constructor(ratio, startCount) {
    this.ratio = ratio;
    this.startCount = startCount;
    this.clear();
  }

  clear() {
    this.chunks = [];
    this.at = 0; // position in the first chunk
    this.waiting = 0; // samples that have not been played
    this.played = 0;
    this.gaps = 0;
    this.wanted = this.startCount;
    this.ended = false;
    this.running = false;
    this.starved = false;
  }

  push(samples) {
    if (!samples.length) return;
    // Only now is it clear that running out of samples was not the end.
    if (this.starved) {
      this.gaps += 1;
      this.wanted = Math.min(2 * this.wanted, PATIENCE * this.startCount);
    }
    this.starved = false;
    this.chunks.push(samples);
    this.waiting += samples.length;
  }

  end() {
    this.ended = true;
  }

  /** Position, in samples. */
  get report() {
    const { played, gaps, running, ended } = this;
    return { played, gaps, running, done: ended && !this.chunks.length };
  }

  /** Fill `output`, with silence if samples are missing; returns the number of samples played. */
  pull(output) {
    if (!this.running && this.chunks.length) {
      this.running = this.ended || this.waiting >= this.wanted;
    }
    let i = 0;
    while (i < output.length && this.running) output[i++] = this.next();
    output.fill(0, i);
    return i;
  }

  next() {
    const whole = Math.floor(this.at);
    const here = this.chunks[0][whole];
    const value = this.ratio === 1 ? here : here + (this.at - whole) * (this.after(whole) - here);
    this.at += this.ratio;
    this.waiting -= this.ratio;
    this.played += this.ratio;
    while (this.chunks.length && this.at >= this.chunks[0].length) {
      this.at -= this.chunks.shift().length;
    }
    if (!this.chunks.length) {
      this.running = false;
      this.starved = !this.ended;
      this.waiting = 0;
    }
    return value;
  }

  after(index) {
    if (index + 1 < this.chunks[0].length) return this.chunks[0][index + 1];
    return this.chunks.length > 1 ? this.chunks[1][0] : this.chunks[0][index];
  }
}
