/** The player's part in the audio thread: plays the samples it receives and reports progress. */

import { SampleQueue } from "./sample-queue.js";

const BLOCKS_A_REPORT = 8;

class PlaybackProcessor extends AudioWorkletProcessor {
  constructor({ processorOptions: { ratio, startCount } }) {
    super();
    this.queue = new SampleQueue(ratio, startCount);
    this.turn = 0; // number of the playback that the samples belong to
    this.blocks = 0;
    this.time = 0; // end of the last sample played
    this.port.onmessage = ({ data }) => {
      if (data.clear) {
        this.queue.clear();
        this.turn = data.turn;
      } else if (data.turn === this.turn) {
        if (data.samples) this.queue.push(data.samples);
        if (data.end) this.queue.end();
      }
    };
  }

  process(_, [[output]]) {
    const played = this.queue.pull(output);
    if (played) this.time = currentTime + played / sampleRate;
    this.blocks += 1;
    if (this.blocks % BLOCKS_A_REPORT === 0) {
      this.port.postMessage({ turn: this.turn, time: this.time, ...this.queue.report });
    }
    return true;
  }
}

registerProcessor("playback", PlaybackProcessor);
