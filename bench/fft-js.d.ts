/** What the benches use of fft.js, which brings no types. */
declare module 'fft.js' {
  export default class FFT {
    /** @param size  a power of two, above 1 */
    constructor(size: number);
    createComplexArray(): number[];
    /** Pairs re, im of bins 0 to size / 2. */
    realTransform(out: number[], data: ArrayLike<number>): void;
  }
}
