/** Speech over the WebSocket: text goes in, audio and the times of words come as they are made. */

import { address, ServerError } from "./client.js";
import { PcmReader } from "./pcm.js";

const PIECE = 2000; // characters a message
const DONE = 1000;

/** The WebSocket could not be opened; a browser does not tell why. */
export class SocketUnavailable extends Error {}

/**
 * Have a text spoken.
 *
 * @param {string} text
 * @param {object} wanted query of the WebSocket, the API key if any, a signal that stops it, and
 *   what to call: begun(metadata), sentence(text and words), audio(Float32Array), done(figures),
 *   warning(text).
 * @returns {Promise<void>} settled when all has come; SocketUnavailable or ServerError else.
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
      else reject(new ServerError(`The audio broke off: ${reason || `closed with ${code}`}.`));
    };
  });
}

function connect(url, key) {
  try {
    return new WebSocket(url, key ? ["token", key] : []);
  } catch {
    throw new ServerError("This API key holds characters that no key has.", { status: 401 });
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
  const letters = [...text]; // whole characters, not halves of them
  for (let first = 0; first < letters.length; first += PIECE) {
    yield letters.slice(first, first + PIECE).join("");
  }
}
