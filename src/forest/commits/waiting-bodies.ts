/**
 * Bodies that wait for their turn, in the order in which they came.
 *
 * Invariant: adding and taking one costs the same however many wait, and what was taken is not
 * kept. It runs nothing.
 */

/** So many taken places at the front may wait to be given back. */
const takenMax = 1024;

export class WaitingBodies<T> {
  #bodies: T[] = [];
  #taken = 0;

  get length(): number {
    return this.#bodies.length - this.#taken;
  }

  add(body: T): void {
    this.#bodies.push(body);
  }

  /** The one that has waited longest. */
  take(): T | undefined {
    if (this.length === 0) return undefined;
    const body = this.#bodies[this.#taken] as T;
    // What it refers to is not kept.
    this.#bodies[this.#taken] = undefined as T;
    this.#taken += 1;
    if (this.#taken === this.#bodies.length) {
      this.#bodies = [];
      this.#taken = 0;
    } else if (this.#taken > takenMax && this.#taken * 2 > this.#bodies.length) {
      this.#bodies = this.#bodies.slice(this.#taken);
      this.#taken = 0;
    }
    return body;
  }
}
