/** Plays one track at a time, also while it is still growing. */

import { SampleQueue } from "./sample-queue.js";

const START_S = 0.08; // buffered before playback starts, to hide short network delays
const BLOCK = 1024; // block size of the node used without AudioWorklet

/**
 * Emits "change" when the track, the playing state or the number of gaps changes, and "stop"
 * (detail: the track and its position) when it stops.
 */
export class Player extends EventTarget {
  constructor() {
    super();
    this.context = null;
    this.analyser = null;
    this.track = null;
    this.turn = 0;
    this.rest();
  }

  rest() {
    this.from = 0; // position in the track, in seconds, at which this playback began
    this.heard = { played: 0, gaps: 0, running: false, done: false, time: 0 };
  }

  /** Prepare for a sample rate. Must be called from a click, or the browser stays silent. */
  prepare(rate) {
    if (this.context && this.rate === rate) {
      this.context.resume();
      return this.ready;
    }
    this.stop();
    this.context?.close();
    this.rate = rate;
    try {
      this.context = new AudioContext({ sampleRate: rate, latencyHint: "interactive" });
    } catch {
      this.context = new AudioContext();
    }
    this.context.resume();
    this.analyser = new AnalyserNode(this.context, { fftSize: 2048 });
    this.analyser.connect(this.context.destination);
    this.ready = this.connect();
    return this.ready;
  }

  async connect() {
    const { context, rate } = this;
    const options = { ratio: rate / context.sampleRate, startCount: Math.round(rate * START_S) };
    if (await this.hasWorklet()) {
      const node = new AudioWorkletNode(context, "playback", {
        numberOfInputs: 0,
        outputChannelCount: [1],
        processorOptions: options,
      });
      node.port.onmessage = ({ data }) => this.listen(data);
      node.connect(this.analyser);
      this.send = (message) => node.port.postMessage(message);
    } else {
      this.send = this.withoutWorklet(options);
    }
  }

  /** Browsers only have worklets on pages loaded by https or from this machine. */
  async hasWorklet() {
    try {
      const module = new URL("playback-processor.js", import.meta.url);
      await this.context.audioWorklet.addModule(module);
      return true;
    } catch {
      return false;
    }
  }

  withoutWorklet({ ratio, startCount }) {
    const queue = new SampleQueue(ratio, startCount);
    const node = this.context.createScriptProcessor(BLOCK, 0, 1);
    let turn = 0;
    let time = 0;
    node.onaudioprocess = ({ outputBuffer, playbackTime }) => {
      const played = queue.pull(outputBuffer.getChannelData(0));
      if (played) time = playbackTime + played / outputBuffer.sampleRate;
      this.listen({ turn, time, ...queue.report });
    };
    node.connect(this.analyser);
    return (message) => {
      if (message.clear) queue.clear();
      turn = message.turn;
      if (message.samples) queue.push(message.samples);
      if (message.end) queue.end();
    };
  }

  /** Play a track from a position in seconds, including audio that is added later. */
  async play(track, from = 0) {
    const ready = this.prepare(track.rate);
    this.stop();
    const turn = this.turn;
    this.track = track;
    this.from = from;
    await ready;
    if (turn !== this.turn) return;
    this.send({ clear: true, turn });
    const first = Math.round(from * track.rate);
    this.send({ turn, samples: track.slice(first) });
    this.grown = ({ detail }) => this.send({ turn, samples: detail });
    this.ended = () => this.send({ turn, end: true });
    track.addEventListener("samples", this.grown);
    track.addEventListener("end", this.ended);
    if (track.complete) this.ended();
    this.dispatchEvent(new Event("change"));
  }

  /** Stop at once. */
  stop() {
    this.turn += 1;
    if (!this.track) return;
    const detail = { track: this.track, position: this.position };
    this.track.removeEventListener("samples", this.grown);
    this.track.removeEventListener("end", this.ended);
    this.track = null;
    this.send?.({ clear: true, turn: this.turn });
    this.rest();
    this.dispatchEvent(new CustomEvent("stop", { detail }));
    this.dispatchEvent(new Event("change"));
  }

  listen(report) {
    if (report.turn !== this.turn || !this.track) return;
    const before = this.heard;
    this.heard = report;
    if (report.done && this.position >= this.track.seconds) {
      this.stop();
    } else if (before.running !== report.running || before.gaps !== report.gaps) {
      this.dispatchEvent(new Event("change"));
    }
  }

  /** Position in the track, in seconds. */
  get position() {
    if (!this.track) return 0;
    const { played, running, done, time } = this.heard;
    if (!played) return this.from;
    const latency = this.context.outputLatency || 0;
    const since = running || done ? this.context.currentTime - time - latency : 0;
    const heard = this.from + played / this.rate + since;
    return Math.min(this.track.seconds, Math.max(this.from, heard));
  }
}
