/** The page's HTTP requests to its server. */

import { PcmReader } from "./pcm.js";

const RECORDINGS = ["wav", "x-wav", "wave", "vnd.wave", "flac", "x-flac", "mpeg", "mp3", "ogg"];

/** An error reported by the server. */
export class ServerError extends Error {
  constructor(message, { status = 0, code = "", retryAfter = null } = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.retryAfter = retryAfter;
  }
}

/** URLs are relative to the page, because a proxy may serve it below a path. */
export function address(path, query = {}) {
  const url = new URL(path, document.baseURI);
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== "") url.searchParams.set(name, value);
  }
  return url;
}

/** @returns {Promise<Response>} a successful response; any other throws a ServerError. */
export async function ask(url, { key, headers = {}, ...options } = {}) {
  const authorization = key ? { authorization: `Bearer ${key}` } : {};
  let answer;
  try {
    answer = await fetch(url, { ...options, headers: { ...headers, ...authorization } });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServerError("The server cannot be reached.");
  }
  if (answer.ok) return answer;
  throw await refusal(answer);
}

async function refusal(answer) {
  const { error = {} } = await answer.json().catch(() => ({}));
  return new ServerError(error.message ?? `The server answered ${answer.status}.`, {
    status: answer.status,
    code: error.code ?? "",
    retryAfter: answer.headers.get("retry-after"),
  });
}

/** The server's voices. */
export async function voices(key) {
  return (await (await ask(address("v1/audio/voices"), { key })).json()).data;
}

/** Features of a recording, as a file for `vocode`, and their length in seconds. */
export async function analyze(file, { voice, key, signal }) {
  const known = RECORDINGS.some((type) => file.type === `audio/${type}`);
  const answer = await ask(address("v1/audio/analyze", { voice }), {
    method: "POST",
    body: file,
    headers: { "content-type": known ? file.type : "application/octet-stream" },
    key,
    signal,
  });
  return { features: await answer.blob(), seconds: Number(answer.headers.get("x-audio-seconds")) };
}

/** Speech from features, passed on as it arrives. */
export async function vocode(features, { query, key, signal, begun, audio }) {
  const options = { ...query, stream: true, response_format: "pcm" };
  const answer = await ask(address("v1/audio/vocode", options), {
    method: "POST",
    body: features,
    headers: { "content-type": "application/octet-stream" },
    key,
    signal,
  });
  begun(about(answer));
  const pcm = new PcmReader();
  await pieces(answer, (bytes) => audio(pcm.read(bytes)));
}

/** Speech from text as server-sent events, for networks that block WebSockets. */
export async function speech(text, { query, rate, key, signal, begun, audio, sentence }) {
  const { model, speaker, seed, speed, pitch } = query;
  // Appended as text, because a seed can be larger than JavaScript's integers.
  const numbers = Object.entries({ seed, speed, pitch }).filter(([, value]) => value !== "");
  const body = JSON.stringify({
    input: text,
    model,
    speaker,
    response_format: "pcm",
    sample_rate: rate,
    stream_format: "sse",
    timings: true,
  }).replace(/}$/, numbers.map(([name, value]) => `,"${name}":${value}`).join("") + "}");
  const answer = await ask(address("v1/audio/speech"), {
    method: "POST",
    body,
    headers: { "content-type": "application/json" },
    key,
    signal,
  });
  begun(about(answer));
  const pcm = new PcmReader();
  await events(answer, (event) => {
    if (event.type === "error") throw new ServerError(event.error.message, event.error);
    if (event.type === "speech.audio.timings") sentence(event);
    if (event.type === "speech.audio.delta") {
      audio(pcm.read(Uint8Array.from(atob(event.audio), (letter) => letter.charCodeAt(0))));
    }
  });
}

function about({ headers }) {
  return {
    seed: headers.get("x-seed"),
    engine: headers.get("x-engine"),
    voice_hash: headers.get("x-voice-hash"),
    sample_rate: Number(headers.get("x-sample-rate")),
    first_audio_ms: total(headers.get("server-timing") ?? ""),
  };
}

/** The sum of a Server-Timing header's steps, in milliseconds. */
function total(timing) {
  const times = [...timing.matchAll(/dur=([0-9.]+)/g)].map(([, time]) => Number(time));
  return times.length ? times.reduce((sum, time) => sum + time) : undefined;
}

async function pieces(answer, take) {
  const reader = answer.body.getReader();
  for (;;) {
    let piece;
    try {
      piece = await reader.read();
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new ServerError("The audio ended early.");
    }
    if (piece.done) return;
    take(piece.value);
  }
}

async function events(answer, take) {
  const decoder = new TextDecoder();
  let rest = "";
  await pieces(answer, (bytes) => {
    const blocks = (rest + decoder.decode(bytes, { stream: true })).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) take(JSON.parse(block.replace(/^data: /, "")));
  });
}
