/** Speech over the WebSocket: sends text, receives audio and word timings as they are generated. */

import { address, ServerError } from "./client.js";
import { PcmReader } from "./pcm.js";

const PIECE = 2000; // characters per message
const DONE = 1000;

/** The WebSocket could not be opened; browsers do not say why. */
export class SocketUnavailable extends Error {}

/**
 * Speak a text.
 *
 * @param {string} text
 * @param {object} wanted query of the WebSocket, API key if any, abort signal, and callbacks:
 *   begun(metadata), sentence(text and words), audio(Float32Array), done(figures), warning(text).
 * @returns {Promise<void>} resolves when complete; rejects with SocketUnavailable or ServerError.
 */
export function speakOverSocket(text, wanted) {
  const { query, key, signal } = wanted;
  const url = address("v1/audio/stream", { ...query, encoding: "linear16", timings: true });
  url.protocol = url.protocol.replace("http", "ws");
  return new Promise((resolve, reject) => {
    const socket = connect(url, key);
    socket.binaryType = "arraybuffer";
    const pcm = new PcmReader();
    let open = false;
    let failure = null;
    signal.addEventListener("abort", () => {
      socket.close(DONE);
      reject(new DOMException("stopped", "AbortError"));
    });
    socket.onopen = () => {
      open = true;
      for (const piece of inPieces(text)) send(socket, { type: "Speak", text: piece });
      send(socket, { type: "Flush" });
      send(socket, { type: "Close" });
    };
    socket.onmessage = ({ data }) => {
      if (signal.aborted) return;
      if (data instanceof ArrayBuffer) {
        wanted.audio(pcm.read(new Uint8Array(data)));
        return;
      }
      const message = JSON.parse(data);
      if (message.type === "Error") {
        failure = new ServerError(message.error.message, {
          code: message.error.code,
          retryAfter: message.retry_after_s,
        });
        socket.close(DONE);
      } else {
        react(message, wanted);
      }
    };
    socket.onclose = ({ code, reason }) => {
      if (failure) reject(failure);
      else if (!open) reject(new SocketUnavailable());
      else if (code === DONE) resolve();
      else reject(new ServerError(`The audio ended early: ${reason || `closed with ${code}`}.`));
    };
  });
}

function connect(url, key) {
  try {
    return new WebSocket(url, key ? ["token", key] : []);
  } catch {
    throw new ServerError("This API key contains invalid characters.", { status: 401 });
  }
}

function send(socket, message) {
  socket.send(JSON.stringify(message));
}

function react(message, { begun, sentence, done, warning }) {
  if (message.type === "Metadata") begun(message);
  else if (message.type === "Timings") sentence(message);
  else if (message.type === "Flushed") done(message);
  else if (message.type === "Warning") warning(message.description);
}

function* inPieces(text) {
  const letters = [...text]; // never splits a surrogate pair
  for (let first = 0; first < letters.length; first += PIECE) {
    yield letters.slice(first, first + PIECE).join("");
  }
}
