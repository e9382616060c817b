/** A track on a canvas: its words, waveform and spectrogram, and the playback position. */

import { onPaletteChange, palette } from "./palette.js";
import { COLUMNS_A_SECOND, height, Spectrogram } from "./spectrogram.js";
import { Tiles } from "./tiles.js";

const LEAST_S = 2;
const FOLLOWED_S = 12; // maximum length shown during playback
const FRAME_MS = 30;
const STEP_S = 0.5;
const FONT = "12px system-ui, sans-serif";
const EDGE = { left: 42, right: 12, bottom: 24 };
const WORD_ROW = 17;
const WAVE_HEIGHT = 72;
const LEAST_PEAK = 0.05; // the waveform is scaled to its height, but silence stays flat
const TICKS_HZ = [250, 500, 1000, 2000, 3000, 4000, 6000, 8000, 11000, 16000, 22000];
const STEPS_S = [0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120];

/** Emits "seek" (detail: seconds) when the user selects a position. */
export class Picture extends EventTarget {
  constructor(canvas, player) {
    super();
    this.canvas = canvas;
    this.player = player;
    this.colours = palette();
    this.track = null;
    this.rest = 0; // position of the cursor while the track is not playing
    this.drawn = 0;
    onPaletteChange(() => {
      this.colours = palette();
      this.invalidate();
    });
    player.addEventListener("change", () => this.invalidate());
    player.addEventListener("stop", ({ detail: { track, position } }) => {
      if (track === this.track) this.position = position;
    });
    new ResizeObserver(() => this.invalidate()).observe(canvas);
    canvas.addEventListener("click", (event) => this.clicked(event));
    canvas.addEventListener("keydown", (event) => this.pressed(event));
  }

  show(track) {
    this.track = track;
    this.rest = 0;
    this.tiles = new Tiles();
    const spectrogram = new Spectrogram(track.rate, (...column) => this.tiles.add(...column));
    const samples = track.slice();
    if (samples.length) spectrogram.push(samples);
    const whenShown = (act) => (event) => {
      if (this.track !== track) return;
      act(event);
      this.invalidate();
    };
    track.addEventListener("samples", whenShown(({ detail }) => spectrogram.push(detail)));
    track.addEventListener("sentence", whenShown(() => {}));
    const finish = whenShown(() => {
      spectrogram.finish();
      this.describe();
    });
    if (track.complete) finish();
    else track.addEventListener("end", finish);
    this.invalidate();
  }

  get position() {
    return this.player.track === this.track ? this.player.position : this.rest;
  }

  /** Move the cursor while the track is not playing. */
  set position(seconds) {
    this.rest = seconds;
    this.describe();
    this.invalidate();
  }

  /** Announce the cursor's position to screen readers. */
  describe() {
    const [now, all] = [this.position, this.track.seconds].map((s) => s.toFixed(1));
    this.canvas.setAttribute("aria-valuemax", all);
    this.canvas.setAttribute("aria-valuenow", now);
    this.canvas.setAttribute("aria-valuetext", `${now} of ${all} seconds`);
  }

  clicked({ clientX }) {
    if (!this.track?.length) return;
    const { first, span, width } = this.view();
    const x = clientX - this.canvas.getBoundingClientRect().left;
    this.seek(first + ((x - EDGE.left) / width) * span);
  }

  pressed(event) {
    const moves = {
      ArrowRight: () => this.position + STEP_S,
      ArrowUp: () => this.position + STEP_S,
      ArrowLeft: () => this.position - STEP_S,
      ArrowDown: () => this.position - STEP_S,
      Home: () => 0,
      End: () => this.track.seconds,
    };
    if (!this.track?.length || !(event.key in moves)) return;
    event.preventDefault();
    this.seek(moves[event.key]());
  }

  seek(seconds) {
    const detail = Math.max(0, Math.min(this.track.seconds, seconds));
    this.dispatchEvent(new CustomEvent("seek", { detail }));
  }

  invalidate() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame((now) => this.frame(now));
  }

  frame(now) {
    this.waiting = false;
    if (!this.track) return;
    const playing = this.player.track === this.track;
    if (now - this.drawn >= FRAME_MS) {
      this.drawn = now;
      this.draw();
      if (!playing) return;
    }
    this.invalidate();
  }

  /** The time range that is shown, and its width. */
  view() {
    const total = this.track.extent;
    const width = Math.max(1, this.canvas.clientWidth - EDGE.left - EDGE.right);
    const kept = this.tiles.first / COLUMNS_A_SECOND;
    if (this.player.track !== this.track || total - kept <= FOLLOWED_S) {
      return { first: kept, span: Math.max(LEAST_S, total - kept), width };
    }
    const first = this.position - FOLLOWED_S / 3;
    const last = total - FOLLOWED_S;
    return { first: Math.max(kept, Math.min(last, first)), span: FOLLOWED_S, width };
  }

  /** Where the waveform and the spectrogram begin: below the words, if there are any. */
  get tops() {
    const wave = 8 + (this.track.words.length ? 2 * WORD_ROW : 0);
    return { wave, spectrum: wave + WAVE_HEIGHT + 10 };
  }

  draw() {
    const { canvas, colours, tops } = this;
    const scale = window.devicePixelRatio || 1;
    const [width, tall] = [canvas.clientWidth, canvas.clientHeight];
    if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(tall * scale)) {
      canvas.width = Math.round(width * scale);
      canvas.height = Math.round(tall * scale);
    }
    const context = canvas.getContext("2d");
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.fillStyle = colours.panel;
    context.fillRect(0, 0, width, tall);
    context.font = FONT;
    const view = this.view();
    const bottom = tall - EDGE.bottom;
    const right = EDGE.left + view.width;
    const x = (seconds) => EDGE.left + ((seconds - view.first) / view.span) * view.width;
    context.save();
    context.beginPath();
    context.rect(EDGE.left, 0, view.width, bottom);
    context.clip();
    this.tiles.draw(context, colours.ramp, (c) => x(c / COLUMNS_A_SECOND), tops.spectrum, bottom);
    this.drawWave(context, view, x);
    this.drawWords(context, x, bottom);
    context.restore();
    this.drawFrequencies(context, bottom, right);
    this.drawTimes(context, view, x, bottom);
    context.fillStyle = colours.cursor;
    context.fillRect(Math.round(x(this.position)) - 0.75, tops.wave, 1.5, bottom - tops.wave);
  }

  drawWave(context, { first, span, width }, x) {
    const middle = this.tops.wave + WAVE_HEIGHT / 2;
    const gain = WAVE_HEIGHT / 2 / Math.max(LEAST_PEAK, this.tiles.peak);
    const now = x(this.position);
    context.fillStyle = this.colours.grid;
    context.fillRect(EDGE.left, middle - 0.5, width, 1);
    const end = x(this.track.seconds);
    for (let at = EDGE.left; at < Math.min(end, EDGE.left + width); at++) {
      const seconds = first + ((at - EDGE.left) / width) * span;
      const column = Math.floor(seconds * COLUMNS_A_SECOND);
      const next = Math.floor((seconds + span / width) * COLUMNS_A_SECOND);
      const [low, high] = this.tiles.extent(column, Math.max(column + 1, next));
      context.fillStyle = at < now ? this.colours.played : this.colours.wave;
      context.fillRect(at, middle - high * gain - 0.5, 1, (high - low) * gain + 1);
    }
  }

  drawWords(context, x, bottom) {
    const { colours, position, tops } = this;
    const free = [0, 0]; // where each row of words is free again
    const edge = this.canvas.clientWidth - EDGE.right;
    context.textBaseline = "middle";
    for (const word of this.track.words) {
      const left = x(word.start_s);
      const right = x(word.end_s);
      if (position >= word.start_s && position < word.end_s) {
        context.fillStyle = colours.now;
        context.fillRect(left, tops.wave - 2, right - left, bottom - tops.wave + 2);
      }
      const width = context.measureText(word.text).width;
      const centred = Math.max(left, (left + right - width) / 2);
      const at = left < edge ? Math.min(centred, edge - width) : centred;
      const row = free.findIndex((end) => at >= end);
      if (row < 0) continue;
      free[row] = at + width + 6;
      context.fillStyle = position >= word.start_s ? colours.word : colours.text;
      context.fillText(word.text, at, (row + 0.5) * WORD_ROW + 3);
    }
  }

  drawFrequencies(context, bottom, right) {
    const { colours, track, tops } = this;
    context.textAlign = "right";
    context.textBaseline = "middle";
    let last = Infinity;
    for (const hz of TICKS_HZ.filter((tick) => tick < track.rate / 2)) {
      const y = bottom - height(hz, track.rate) * (bottom - tops.spectrum);
      if (last - y < 15 || y < tops.spectrum + 16) continue;
      last = y;
      context.fillStyle = colours.grid;
      context.fillRect(EDGE.left, y, right - EDGE.left, 1);
      context.fillStyle = colours.text;
      context.fillText(`${hz / 1000}`, EDGE.left - 8, y);
    }
    context.fillStyle = colours.text;
    context.fillText("kHz", EDGE.left - 8, tops.spectrum + 6);
    context.textAlign = "left";
  }

  drawTimes(context, { first, span, width }, x, bottom) {
    const { colours, tops } = this;
    const step = STEPS_S.find((s) => (s / span) * width >= 52) ?? STEPS_S.at(-1) * 10;
    const digits = step < 1 ? 1 : 0;
    context.textBaseline = "alphabetic";
    context.textAlign = "center";
    for (let tick = Math.ceil(first / step) * step; tick <= first + span + 1e-6; tick += step) {
      const at = x(tick);
      context.fillStyle = colours.grid;
      context.fillRect(at, tops.wave, 1, bottom - tops.wave + 4);
      if (at > EDGE.left + width - 8) continue;
      context.fillStyle = colours.text;
      context.fillText(tick.toFixed(digits), at, bottom + 17);
    }
    context.fillStyle = colours.text;
    context.textAlign = "right";
    context.fillText("s", EDGE.left + width + 4, bottom + 17);
    context.textAlign = "left";
  }
}
