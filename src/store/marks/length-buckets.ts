/**
 * Items kept by a length from 1 to 256. A few machine instructions find the item that was added
 * last to the shortest length that is long enough.
 *
 * Each length has a stack, and a bitmap says which stacks are not empty (segregated fits, as in
 * TLSF, Masmano et al. 2004). Only the owner knows an item's meaning, and whether its length is
 * stale.
 */

/** The longest length with its own stack: one more than the grains of the longest value. */
export const runLengthMax = 256;

export class LengthBuckets {
  /** Created on first use: most strata have items of a few lengths. */
  readonly #stacks: (number[] | undefined)[] = new Array(runLengthMax + 1).fill(undefined);
  readonly #filled = new Uint32Array((runLengthMax >>> 5) + 1);
  /** Items in all stacks. */
  size = 0;

  push(length: number, item: number): void {
    const stack = this.#stacks[length];
    if (stack === undefined) this.#stacks[length] = [item];
    else stack.push(item);
    const word = length >>> 5;
    this.#filled[word] = (this.#filled[word] as number) | (1 << (length & 31));
    this.size += 1;
  }

  /** The shortest length of at least `length` that has an item; 0 if there is none. */
  shortestFrom(length: number): number {
    let mask = -1 << (length & 31);
    for (let word = length >>> 5; word < this.#filled.length; word++) {
      const bits = (this.#filled[word] as number) & mask;
      if (bits !== 0) return word * 32 + 31 - Math.clz32(bits & -bits);
      mask = -1;
    }
    return 0;
  }

  /** Removes the last item that was added with this length. Requires: there is one. */
  pop(length: number): number {
    const stack = this.#stacks[length] as number[];
    const item = stack.pop() as number;
    if (stack.length === 0) {
      const word = length >>> 5;
      this.#filled[word] = (this.#filled[word] as number) & ~(1 << (length & 31));
    }
    this.size -= 1;
    return item;
  }

  clear(): void {
    this.#stacks.fill(undefined);
    this.#filled.fill(0);
    this.size = 0;
  }
}
