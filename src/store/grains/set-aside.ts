/**
 * Free grains of a stratum that are not reserved, since the disk may refuse a write there. Runs by
 * their first grain.
 *
 * Invariant: the allocator sees them as taken, everything else as free. It decides nothing.
 */

export class SetAside {
  readonly #runs = new Map<number, number>();

  add(index: number, count: number): void {
    this.#runs.set(index, count);
  }

  /**
   * Returns a test for grains from `index` on, `count` of them. Requires: calls in ascending order,
   * since the runs are walked once.
   */
  within(index: number, count: number): (grain: number) => boolean {
    const runs = [...this.#runs]
      .filter(([from, length]) => from < index + count && from + length > index)
      .sort(([one], [other]) => one - other);
    let at = 0;
    return (grain) => {
      for (;;) {
        const run = runs[at];
        if (run === undefined || grain < run[0]) return false;
        if (grain < run[0] + run[1]) return true;
        at += 1;
      }
    };
  }

  /** Number of grains set aside from `index` on, within `count` grains. */
  grainsWithin(index: number, count: number): number {
    let grains = 0;
    for (const [from, length] of this.#runs) {
      if (from >= index && from < index + count) grains += length;
    }
    return grains;
  }

  /** Removes the runs from `index` on, `count` grains: their map is given back. */
  forget(index: number, count: number): void {
    for (const from of this.#runs.keys()) {
      if (from >= index && from < index + count) this.#runs.delete(from);
    }
  }

  /** Removes and returns all runs. */
  takeAll(): [index: number, count: number][] {
    const runs = [...this.#runs];
    this.#runs.clear();
    return runs;
  }
}
