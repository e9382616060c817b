/** Samples between the network and the loudspeaker; runs in the audio thread. */

const PATIENCE = 32; // at most so many times the first wait

export class SampleQueue {
  /**
   * @param {number} ratio samples of the stream to one that is played: 1 where the audio context
   *   has the stream's own rate; else samples in between are interpolated.
   * @param {number} startCount samples that must be there before playing starts; after each gap
   *   twice as many: where audio comes too slowly, a few long gaps are better than many short ones.
   */
  constructor(ratio, startCount) {
    this.ratio = ratio;
    this.startCount = startCount;
    this.clear();
  }

  clear() {
    this.chunks = [];
    this.at = 0; // position in the first chunk
    this.waiting = 0; // samples not yet played
    this.played = 0;
    this.gaps = 0;
    this.wanted = this.startCount;
    this.ended = false;
    this.running = false;
    this.starved = false;
  }

  push(samples) {
    if (!samples.length) return;
    // Only now is it known that what ran dry was not the end.
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

  /** How far it is. */
  get report() {
    const { played, gaps, running, ended } = this;
    return { played, gaps, running, done: ended && !this.chunks.length };
  }

  /** Fill `output`, with silence where there is nothing to play; returns how many samples sound. */
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
