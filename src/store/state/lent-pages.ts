/**
 * Pages that are taken and that no structure owns yet: the places of copies, and stretches that are
 * being trimmed.
 *
 * Invariant: a loan ends once: a structure owns its pages, or they are free again. Until then
 * verification knows that they are in use.
 */

import { assert } from '../../util/assert.ts';
import type { Extent, Space } from '../file/space.ts';

export class LentPages {
  readonly #space: Space;
  readonly #extents = new Set<Extent>();

  constructor(space: Space) {
    this.#space = space;
  }

  /** Requires: the extents have been taken from the space. */
  lend(extents: readonly Extent[]): Loan {
    for (const extent of extents) this.#extents.add(extent);
    return new Loan(extents, this.#space, this.#extents);
  }

  get extents(): Iterable<Extent> {
    return this.#extents;
  }
}

export class Loan {
  readonly #extents: readonly Extent[];
  readonly #space: Space;
  /** The extents of all loans. */
  readonly #lent: Set<Extent>;
  #state: 'lent' | 'owned' | 'free' = 'lent';

  constructor(extents: readonly Extent[], space: Space, lent: Set<Extent>) {
    this.#extents = extents;
    this.#space = space;
    this.#lent = lent;
  }

  /** A structure has got the pages. */
  get isOwned(): boolean {
    return this.#state === 'owned';
  }

  /** A structure owns the pages from now on. */
  own(): void {
    this.#end('owned');
  }

  /** The pages are free again. Requires: no write to them is in flight. */
  giveBack(): void {
    this.#end('free');
    for (const { page, pages } of this.#extents) this.#space.free(page, pages);
  }

  #end(state: 'owned' | 'free'): void {
    assert(this.#state === 'lent', 'a loan of pages ends once');
    this.#state = state;
    for (const extent of this.#extents) this.#lent.delete(extent);
  }
}
