/** Fast Fourier transform, radix 2, in place (Cooley and Tukey 1965). */

export class Fft {
  /** @param {number} size a power of two. */
  constructor(size) {
    this.size = size;
    this.cos = new Float32Array(size / 2);
    this.sin = new Float32Array(size / 2);
    for (let i = 0; i < size / 2; i++) {
      this.cos[i] = Math.cos((2 * Math.PI * i) / size);
      this.sin[i] = Math.sin((2 * Math.PI * i) / size);
    }
    this.reversed = new Uint32Array(size);
    const bits = Math.log2(size);
    for (let i = 0; i < size; i++) {
      this.reversed[i] = (this.reversed[i >> 1] >> 1) | ((i & 1) << (bits - 1));
    }
    this.real = new Float32Array(size);
    this.imaginary = new Float32Array(size);
  }

  /** Power of bins 0 to size / 2 of real `input` (size), into `power` (size / 2 + 1). */
  power(input, power) {
    const { size, real, imaginary, reversed } = this;
    for (let i = 0; i < size; i++) real[i] = input[reversed[i]];
    imaginary.fill(0);
    for (let half = 1; half < size; half *= 2) this.butterflies(half);
    for (let i = 0; i <= size / 2; i++) power[i] = real[i] ** 2 + imaginary[i] ** 2;
  }

  butterflies(half) {
    const { size, real, imaginary, cos, sin } = this;
    const stride = size / (2 * half);
    for (let first = 0; first < size; first += 2 * half) {
      for (let k = 0; k < half; k++) {
        const low = first + k;
        const high = low + half;
        const c = cos[k * stride];
        const s = sin[k * stride];
        const re = real[high] * c + imaginary[high] * s;
        const im = imaginary[high] * c - real[high] * s;
        real[high] = real[low] - re;
        imaginary[high] = imaginary[low] - im;
        real[low] += re;
        imaginary[low] += im;
      }
    }
  }
}
