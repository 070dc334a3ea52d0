/**
 * A set of ranges of numbers that do not overlap: of pages, or of indexes.
 *
 * Invariant: `add` is called only with a range that overlaps none of them. Both calls find their
 * place by halves, so that a hundred thousand ranges are no burden.
 */

export class TakenRanges {
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];

  overlaps(from: number, to: number): boolean {
    const at = this.#after(from);
    const before = this.#ends[at - 1];
    const next = this.#starts[at];
    return (before !== undefined && before > from) || (next !== undefined && next < to);
  }

  add(from: number, to: number): void {
    const at = this.#after(from);
    this.#starts.splice(at, 0, from);
    this.#ends.splice(at, 0, to);
  }

  /** Position of the first range that begins after `from`. */
  #after(from: number): number {
    let low = 0;
    let high = this.#starts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#starts[middle] as number) <= from) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
