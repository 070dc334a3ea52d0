/**
 * Faults drawn at random, with one probability that the history turns up and down.
 *
 * At probability 0 nothing fails, but the page cache may still drop what it likes.
 */

import type { Random } from '../support/random.ts';
import type { Faults, SyncFault, WriteFault } from './disk.ts';

export class RandomFaults implements Faults {
  /** Of each write and each sync to be cut short. */
  probability = 0;
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  onWrite(): WriteFault {
    if (this.probability === 0) return 'none';
    const drawn = this.#random.next();
    if (drawn < this.probability / 2) return 'cut';
    if (drawn < this.probability) return 'kill';
    return drawn < this.probability * 1.5 ? 'error' : 'none';
  }

  onSync(): SyncFault {
    if (this.probability === 0) return 'none';
    const drawn = this.#random.next();
    if (drawn < this.probability) return 'cut';
    if (drawn < this.probability * 1.5) return 'error';
    return drawn < this.probability * 2 ? 'kill' : 'none';
  }

  failedWriteLands(): boolean {
    return this.#random.chance(0.5);
  }

  survivors(): () => boolean {
    const share = this.#random.next();
    return () => this.#random.chance(share);
  }

  evicts(): boolean {
    return this.#random.chance(0.3);
  }
}
