/** The page: connects its controls, player and pictures. */

import { analyze, ServerError, speech, vocode, voices } from "./client.js";
import { Controls } from "./controls.js";
import { Facts } from "./facts.js";
import { wavFile } from "./pcm.js";
import { Picture } from "./picture.js";
import { Player } from "./player.js";
import { SocketUnavailable, speakOverSocket } from "./speech-socket.js";
import { Track } from "./track.js";
import { Transcript } from "./transcript.js";

const END_S = 0.05; // this close to the end, playback restarts from the beginning

const element = (id) => document.getElementById(id);

const player = new Player();
const controls = new Controls();
const facts = new Facts(player);
const transcript = new Transcript(element("transcript"), player);
const made = side("result", "picture", "play");
const original = side("original", "original-picture", "play-original");
let running = null; // AbortController of the request in progress

function side(section, canvas, button) {
  const picture = new Picture(element(canvas), player);
  const found = { section: element(section), picture, button: element(button) };
  picture.addEventListener("seek", ({ detail }) => {
    if (player.track === picture.track) player.play(picture.track, detail);
    else picture.position = detail;
  });
  found.button.addEventListener("click", () => toggle(found));
  return found;
}

function show({ section, picture, button }, track, title) {
  section.hidden = false;
  section.querySelector("h2").textContent = title;
  button.disabled = false;
  picture.show(track);
}

function hide({ section, picture }) {
  section.hidden = true;
  picture.track = null;
}

/** Play or pause. Switching tracks while one is playing keeps the position. */
function toggle({ picture }) {
  if (player.track === picture.track) {
    player.stop();
    return;
  }
  const from = player.track ? player.position : picture.position;
  const ended = picture.track.complete && from > picture.track.seconds - END_S;
  player.play(picture.track, ended ? 0 : from);
}

/** Generate speech with `work`, which gets callbacks, and report the outcome. */
async function make(title, work) {
  stop();
  facts.clear();
  controls.problem(null);
  controls.status("Waiting for the first audio …");
  const control = new AbortController();
  running = control;
  update();
  let track = null;
  const wanted = {
    ...controls.wanted(),
    signal: control.signal,
    begun(metadata) {
      facts.begun(metadata);
      controls.used(metadata.seed);
      track = new Track(metadata.sample_rate);
      track.expected = metadata.audio_s ?? 0;
      show(made, track, title);
      transcript.show(track);
      element("picture").scrollIntoView({ block: "nearest" });
      player.play(track);
    },
    sentence: (sentence) => track.addSentence(sentence),
    audio(samples) {
      if (!track.length) controls.status("Speaking …");
      track.append(samples);
      facts.audio(track);
    },
    done: (figures) => facts.done(figures),
    warning: (text) => controls.problem(text),
  };
  try {
    const working = work(wanted);
    player.prepare(controls.voice.sample_rate_hz); // while the request is under way
    await working;
    controls.status(`Done: ${track.seconds.toFixed(1)} s of speech.`);
  } catch (error) {
    const replaced = running && running !== control; // by a newer request
    if (!replaced) report(error);
    if (!replaced && !track) hide(made);
  } finally {
    track?.finish();
    if (running === control) running = null;
    update();
  }
}

function report(error) {
  if (error.name === "AbortError") {
    controls.status("Stopped.");
    return;
  }
  controls.status("");
  controls.problem(error.message);
  if (error.status === 401) controls.askForKey();
  if (!(error instanceof ServerError)) console.error(error);
}

function speak() {
  hide(original);
  return make("Speech", async (wanted) => {
    const text = element("text").value;
    try {
      await speakOverSocket(text, wanted);
    } catch (error) {
      if (!(error instanceof SocketUnavailable)) throw error;
      // HTTP may still work; if not, its response says why.
      await speech(text, { ...wanted, rate: controls.voice.sample_rate_hz });
    }
  });
}

/** Resynthesise a recording from its features. */
function copy(file) {
  hide(original);
  return make("Copy", async (wanted) => {
    const { query, key, signal } = wanted;
    showOriginal(file, signal);
    const { model: voice, speaker, seed } = query;
    const { features, seconds } = await analyze(file, { voice, key, signal });
    await vocode(features, {
      ...wanted,
      query: { voice, speaker, seed },
      begun: (metadata) => wanted.begun({ ...metadata, audio_s: seconds }),
    });
  });
}

async function showOriginal(file, signal) {
  const track = new Track(controls.voice.sample_rate_hz);
  try {
    track.append(await decoded(file, track.rate));
  } catch {
    return; // The server may be able to read it; if not, it reports an error.
  }
  track.finish();
  if (!signal.aborted) show(original, track, "Original");
}

/** A recording as mono samples at the given rate. */
async function decoded(file, rate) {
  const context = new OfflineAudioContext(1, 1, rate);
  const buffer = await context.decodeAudioData(await file.arrayBuffer());
  const mono = new Float32Array(buffer.length);
  for (let channel = 0; channel < buffer.numberOfChannels; channel++) {
    buffer.getChannelData(channel).forEach((sample, i) => {
      mono[i] += sample / buffer.numberOfChannels;
    });
  }
  return mono;
}

function stop() {
  running?.abort();
  running = null;
  player.stop();
  update();
}

function download() {
  const { track } = made.picture;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(wavFile(track.slice(), track.rate));
  link.download = `speech-${element("seed-used").textContent}.wav`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

function update() {
  element("stop").disabled = !running && !player.track;
  element("download").disabled = Boolean(running) || !made.picture.track?.length;
  for (const { picture, button, section } of [made, original]) {
    button.textContent = picture.track && player.track === picture.track ? "Pause" : "Play";
    const title = section.querySelector("h2").textContent.toLowerCase();
    button.setAttribute("aria-label", `${button.textContent} ${title}`);
  }
}

async function begin() {
  try {
    controls.offer(await voices(controls.key));
    controls.problem(null);
    controls.status("");
  } catch (error) {
    report(error);
  }
}

player.addEventListener("change", update);
element("stop").addEventListener("click", stop);
element("download").addEventListener("click", download);
controls.addEventListener("speak", speak);
controls.addEventListener("recording", ({ detail }) => copy(detail));
controls.addEventListener("key", begin);
begin();

// For tests and debugging.
window.vocoderPage = {
  player,
  get analyser() {
    return player.analyser;
  },
  get track() {
    return made.picture.track;
  },
};
