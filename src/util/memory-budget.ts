/**
 * One bound on the memory of several caches, which share it as use demands.
 *
 * Each cache is a clock: its hand goes round over its entries, evicts those that were not used
 * since it last passed them, and keeps the others for one more round (Corbató 1969). If all
 * together are over the bound, all hands turn by the same part of a round until they are not. So
 * all caches are one clock, and what was not used longest gives way, whatever it is.
 *
 * Example: 20 MiB of blocks and 40 MiB of nodes need 6 KiB. Both hands turn by a ten-thousandth of
 * a round: over 2 KiB of blocks and 4 KiB of nodes. Then they go on until 6 KiB are free.
 *
 * Invariants:
 * - A cache says what it holds after each change (`MemoryShare.hold`). The sum is computed from
 *   that and kept nowhere else.
 * - Reserved memory cannot be evicted, and counts. What can be evicted keeps a quarter of the bound
 *   in any case: only reserved memory exceeds the bound.
 *
 * It holds caches weakly, except the last of each kind: those of an earlier state of a reader give
 * their memory back when nothing uses them any more.
 */

export type MemoryKind = 'blocks' | 'marks' | 'nodes';

export interface MemoryStatistics {
  /** `cacheBytes` of the store. */
  readonly budgetBytes: number;
  /** Bytes that count: those of blocks, marks and nodes. */
  readonly usedBytes: number;
  /** Blocks of the file with values, and their index. */
  readonly blockBytes: number;
  /** Marks that are loaded. */
  readonly markBytes: number;
  /** Nodes of a forest: those that are cached, and those that are not stored yet. */
  readonly nodeBytes: number;
  /** The part of `usedBytes` that is not evicted for something else. */
  readonly reservedBytes: number;
}

/** A cache that shares a budget. */
export interface MemoryUser {
  /** Number of entries in one round of its hand. */
  readonly entryCount: number;
  /**
   * Moves the hand past `count` entries; evicts those that were not used since it last passed them.
   */
  pass(count: number): void;
}

/** The part of the budget that reserved memory leaves to what can be evicted. */
export const evictableShareMin = 1 / 4;

/** Hands turn by about these bytes together, or by this part of a round, at a time. */
const stepBytes = 16_384;
const stepMax = 1 / 8;
/**
 * If nothing goes in two rounds, nothing can go: the first one clears the marks of use. One more is
 * for hands that owe a part of an entry.
 */
const idleRoundsMax = 3;

/** The memory of one cache, as it says itself. */
export class MemoryShare {
  readonly kind: MemoryKind;
  #evictableBytes = 0;
  #reservedBytes = 0;

  constructor(kind: MemoryKind) {
    this.kind = kind;
  }

  get evictableBytes(): number {
    return this.#evictableBytes;
  }

  get reservedBytes(): number {
    return this.#reservedBytes;
  }

  /** The cache says what it holds from now on. */
  hold(evictableBytes: number, besides: { readonly reservedBytes: number }): void {
    this.#evictableBytes = evictableBytes;
    this.#reservedBytes = besides.reservedBytes;
  }
}

interface Hand {
  readonly share: MemoryShare;
  readonly user: WeakRef<MemoryUser>;
  /** The last user of its kind: a weak reference costs time with each use. */
  last: MemoryUser | undefined;
  /** Entries, less than one, that it has yet to pass. */
  owed: number;
}

export class MemoryBudget {
  readonly bytesMax: number;
  #hands: Hand[] = [];

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  join(kind: MemoryKind, user: MemoryUser): MemoryShare {
    this.#leaveOut();
    for (const hand of this.#hands) if (hand.share.kind === kind) hand.last = undefined;
    const share = new MemoryShare(kind);
    this.#hands.push({ share, user: new WeakRef(user), last: user, owed: 0 });
    return share;
  }

  /** Leaves out caches that do not exist any more. */
  #leaveOut(): void {
    const hands = this.#hands.filter(({ user }) => user.deref() !== undefined);
    if (hands.length < this.#hands.length) this.#hands = hands;
  }

  /** Memory of all caches, or of those of one kind. */
  bytes(kind?: MemoryKind): number {
    let bytes = 0;
    for (const { share } of this.#hands) {
      if (kind === undefined || share.kind === kind) {
        bytes += share.evictableBytes + share.reservedBytes;
      }
    }
    return bytes;
  }

  statistics(): MemoryStatistics {
    return {
      budgetBytes: this.bytesMax,
      usedBytes: this.bytes(),
      blockBytes: this.bytes('blocks'),
      markBytes: this.bytes('marks'),
      nodeBytes: this.bytes('nodes'),
      reservedBytes: this.#reservedBytes,
    };
  }

  get #reservedBytes(): number {
    let bytes = 0;
    for (const { share } of this.#hands) bytes += share.reservedBytes;
    return bytes;
  }

  get #evictableBytes(): number {
    let bytes = 0;
    for (const { share } of this.#hands) bytes += share.evictableBytes;
    return bytes;
  }

  /** Bytes that what can be evicted takes beyond what it may take; below 0: there is room. */
  get #excessBytes(): number {
    const { bytesMax } = this;
    const evictableMax = Math.max(bytesMax - this.#reservedBytes, bytesMax * evictableShareMin);
    return this.#evictableBytes - evictableMax;
  }

  /** True if there is room for these bytes more. */
  hasRoom(bytes = 0): boolean {
    return this.#excessBytes + bytes <= 0;
  }

  /**
   * Turns all hands until `isEnough`, or until there is room for these bytes more. False if there
   * is no such room: then it was enough, or nothing else can go.
   */
  makeRoom(bytes = 0, isEnough: () => boolean = never): boolean {
    if (this.hasRoom(bytes)) return true;
    for (let idleRounds = 0; idleRounds < idleRoundsMax; ) {
      const before = this.#evictableBytes;
      if (before === 0) break;
      const part = Math.min(stepMax, stepBytes / before);
      this.#turn(part);
      if (isEnough() || this.hasRoom(bytes)) break;
      idleRounds = this.#evictableBytes < before ? 0 : idleRounds + part;
    }
    return this.hasRoom(bytes);
  }

  /** Turns all hands by this part of a round. */
  #turn(part: number): void {
    let areGone = false;
    for (const hand of this.#hands) {
      const user = hand.last ?? hand.user.deref();
      if (user === undefined) {
        areGone = true;
        continue;
      }
      hand.owed += part * user.entryCount;
      const count = Math.floor(hand.owed);
      if (count === 0) continue;
      hand.owed -= count;
      user.pass(count);
    }
    if (areGone) this.#leaveOut();
  }
}

function never(): boolean {
  return false;
}
