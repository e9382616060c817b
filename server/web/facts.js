/** Figures of the last request. */

const element = (id) => document.getElementById(id);

export class Facts {
  constructor(player) {
    player.addEventListener("change", () => {
      if (!player.track || player.track !== this.track) return;
      this.gaps = Math.max(this.gaps, player.heard.gaps);
      element("gaps").textContent = this.gaps;
    });
  }

  /** Reset everything at the start of a request. */
  clear() {
    this.asked = performance.now();
    this.heard = false;
    this.told = false;
    this.track = null;
    this.gaps = 0;
    for (const id of ["first-audio", "real-time-factor", "length", "seed-used", "engine"]) {
      element(id).textContent = "–";
    }
    this.hash("");
    this.server(undefined);
    element("gaps").textContent = "0";
    element("keep-seed").hidden = true;
  }

  /** @param {object} metadata from the WebSocket, or from a response's headers. */
  begun({ seed, engine, voice_hash, first_audio_ms }) {
    this.server(first_audio_ms);
    element("seed-used").textContent = seed;
    element("engine").textContent = engine;
    this.hash(voice_hash);
  }

  hash(whole) {
    element("voice-hash").textContent = whole ? whole.slice(0, 12) : "–";
    element("voice-hash").title = whole;
  }

  /** @param {Track} track that has new audio. */
  audio(track) {
    const milliseconds = performance.now() - this.asked;
    if (!this.heard) element("first-audio").textContent = `${Math.round(milliseconds)} ms`;
    this.heard = true;
    this.track = track;
    element("length").textContent = `${track.seconds.toFixed(2)} s`;
    if (!this.told) this.factor(milliseconds / 1000 / track.seconds);
  }

  /** The server's own figures, which replace those measured here. */
  done({ real_time_factor: factor, first_audio_ms }) {
    this.server(first_audio_ms);
    this.told = Number.isFinite(factor);
    if (this.told) this.factor(factor);
  }

  /** The server's share of the time before the first audio. */
  server(milliseconds) {
    const known = Number.isFinite(milliseconds);
    element("first-audio-server").textContent = known ? `server ${Math.round(milliseconds)}` : "";
  }

  factor(value) {
    element("real-time-factor").textContent = value.toFixed(2);
  }
}
