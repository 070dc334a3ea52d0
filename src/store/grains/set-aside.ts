/**
 * Free grains of a stratum that are not given out, since the disk may refuse a write of
 * them: runs by their first grain.
 *
 * Invariant: to the allocator they are taken, to everything else free. It decides nothing.
 */

export class SetAside {
  readonly #runs = new Map<number, number>();

  add(index: number, count: number): void {
    this.#runs.set(index, count);
  }

  /**
   * Whether a grain from `index` on, one of `count`, is set aside. To be asked of them in their
   * order: the runs are gone through once.
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
