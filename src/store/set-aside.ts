/**
 * Free grains of a stratum that are not given out, since the disk has refused to let the file reach
 * them: runs by their first grain.
 *
 * Invariant: to the allocator they are taken, to everything else free. It decides nothing.
 */

export class SetAside {
  readonly #runs = new Map<number, number>();

  add(index: number, count: number): void {
    this.#runs.set(index, count);
  }

  has(index: number): boolean {
    for (const [from, count] of this.#runs) {
      if (index >= from && index < from + count) return true;
    }
    return false;
  }

  /** Forgets the runs from `index` on, `count` grains: their map is given back. */
  forget(index: number, count: number): void {
    for (const from of this.#runs.keys()) {
      if (from >= index && from < index + count) this.#runs.delete(from);
    }
  }

  /** All runs, which are set aside no longer. */
  takeAll(): [index: number, count: number][] {
    const runs = [...this.#runs];
    this.#runs.clear();
    return runs;
  }
}
