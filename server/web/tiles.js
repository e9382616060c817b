/** Columns of a spectrogram and waveform, stored in tiles; the oldest are dropped. */

import { ROWS } from "./spectrogram.js";

const WIDTH = 1024;
const MOST = 60; // five minutes

export class Tiles {
  constructor() {
    this.tiles = [];
    this.first = 0; // first column of the first tile
    this.end = 0;
    this.peak = 0;
  }

  add(levels, low, high) {
    let tile = this.tiles.at(-1);
    if (!tile || tile.count === WIDTH) {
      tile = emptyTile();
      this.tiles.push(tile);
      if (this.tiles.length > MOST) {
        this.tiles.shift();
        this.first += WIDTH;
      }
    }
    tile.levels.set(levels, tile.count * ROWS);
    tile.low[tile.count] = low;
    tile.high[tile.count] = high;
    tile.count += 1;
    this.end += 1;
    this.peak = Math.max(this.peak, high, -low);
  }

  /** Lowest and highest sample of columns `first` up to `end`. */
  extent(first, end) {
    let low = 0;
    let high = 0;
    for (let at = Math.max(first, this.first); at < Math.min(end, this.end); at++) {
      const tile = this.tiles[Math.floor((at - this.first) / WIDTH)];
      const column = (at - this.first) % WIDTH;
      low = Math.min(low, tile.low[column]);
      high = Math.max(high, tile.high[column]);
    }
    return [low, high];
  }

  /** Draw the spectrogram between `top` and `bottom`, with column c starting at `left(c)`. */
  draw(context, ramp, left, top, bottom) {
    this.tiles.forEach((tile, i) => {
      paint(tile, ramp);
      const first = this.first + i * WIDTH;
      const x = left(first);
      const width = left(first + tile.count) - x;
      context.drawImage(tile.image, 0, 0, tile.count, ROWS, x, top, width, bottom - top);
    });
  }
}

function emptyTile() {
  const image = document.createElement("canvas");
  image.width = WIDTH;
  image.height = ROWS;
  return {
    image,
    ramp: null,
    painted: 0,
    count: 0,
    levels: new Uint8Array(WIDTH * ROWS),
    low: new Float32Array(WIDTH),
    high: new Float32Array(WIDTH),
  };
}

/** Update a tile's image: its new columns, or all of them if the colours have changed. */
function paint(tile, ramp) {
  if (tile.ramp !== ramp) tile.painted = 0;
  tile.ramp = ramp;
  const width = tile.count - tile.painted;
  if (!width) return;
  const pixels = new ImageData(width, ROWS);
  for (let x = 0; x < width; x++) {
    for (let row = 0; row < ROWS; row++) {
      const level = tile.levels[(tile.painted + x) * ROWS + row];
      const at = 4 * ((ROWS - 1 - row) * width + x);
      for (let i = 0; i < 4; i++) pixels.data[at + i] = ramp[4 * level + i];
    }
  }
  tile.image.getContext("2d").putImageData(pixels, tile.painted, 0);
  tile.painted = tile.count;
}
