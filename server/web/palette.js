/** Colours of the pictures, in dark and light mode. */

const DARK = {
  panel: "#11151d",
  text: "#a6b0c0",
  grid: "rgba(166, 176, 192, 0.16)",
  wave: "#6d7b92",
  played: "#7cc4ff",
  word: "#dfe6f0",
  now: "rgba(124, 196, 255, 0.22)",
  cursor: "#ffffff",
  levels: ["#11151d", "#1d1f45", "#4a2473", "#8c2a7d", "#cf4569", "#f5804a", "#fcc25b", "#fffbd6"],
};

const LIGHT = {
  panel: "#fbfcfe",
  text: "#55617a",
  grid: "rgba(60, 75, 105, 0.14)",
  wave: "#a3b1c9",
  played: "#1f6fb8",
  word: "#1c2638",
  now: "rgba(31, 111, 184, 0.16)",
  cursor: "#c2361f",
  levels: ["#fbfcfe", "#e6eef8", "#bcd6ee", "#7fb4dd", "#4689c5", "#2a5ba6", "#27327c", "#160f3d"],
};

const dark = matchMedia("(prefers-color-scheme: dark)");

/** The current colours, and the spectrogram's palette as 256 x RGBA. */
export function palette() {
  const colours = dark.matches ? DARK : LIGHT;
  return { ...colours, ramp: ramp(colours.levels) };
}

/** Call `call` when the page switches between dark and light mode. */
export function onPaletteChange(changed) {
  dark.addEventListener("change", changed);
}

function ramp(colours) {
  const stops = colours.map((colour) => [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16)));
  const table = new Uint8ClampedArray(4 * 256);
  for (let level = 0; level < 256; level++) {
    const place = (level / 255) * (stops.length - 1);
    const low = Math.min(stops.length - 2, Math.floor(place));
    for (let i = 0; i < 3; i++) {
      table[4 * level + i] = stops[low][i] + (place - low) * (stops[low + 1][i] - stops[low][i]);
    }
    table[4 * level + 3] = 255;
  }
  return table;
}
