/** What is known of the speech that was asked for last. */

const element = (id) => document.getElementById(id);

export class Facts {
  constructor(player) {
    player.addEventListener("change", () => {
      if (!player.track || player.track !== this.track) return;
      this.gaps = Math.max(this.gaps, player.heard.gaps);
      element("gaps").textContent = this.gaps;
    });
  }

  /** Nothing is known but that something was asked for, now. */
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

  /** @param {object} metadata of what comes, from the WebSocket or from an answer's headers. */
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

  /** @param {Track} track to which audio was added. */
  audio(track) {
    const milliseconds = performance.now() - this.asked;
    if (!this.heard) element("first-audio").textContent = `${Math.round(milliseconds)} ms`;
    this.heard = true;
    this.track = track;
    element("length").textContent = `${track.seconds.toFixed(2)} s`;
    if (!this.told) this.factor(milliseconds / 1000 / track.seconds);
  }

  /** The server's own figures, which go before what can be seen from here. */
  done({ real_time_factor: factor, first_audio_ms }) {
    this.server(first_audio_ms);
    this.told = Number.isFinite(factor);
    if (this.told) this.factor(factor);
  }

  /** How much of the time before the first audio was the server's. */
  server(milliseconds) {
    const known = Number.isFinite(milliseconds);
    element("first-audio-server").textContent = known ? `server ${Math.round(milliseconds)}` : "";
  }

  factor(value) {
    element("real-time-factor").textContent = value.toFixed(2);
  }
}
