/**
 * The bounds of the journal: the part of its room that a generation takes, in proportion to the
 * forest.
 *
 * Invariant: it measures the store once after each writing of nodes. It decides nothing: `Journal`
 * does.
 */

import { isVarveError } from '../../errors.ts';
import type { StoreStatistics } from '../../index.ts';
import type { Garbage } from '../trees/garbage.ts';
import { Generation } from './generation.ts';

/** Roots that an open has to read, at most. */
export const rootsMax = 1000;
/** Replaced nodes that may wait to be archived in any forest. */
const goneMin = 500;
/**
 * In a larger forest `nodes * share` of them may wait:
 *
 *   share = min(1, max(1 / 16, (nodeBytes / changeBytes / 256) ** 2))
 *
 * The sizes are means of the replaced nodes and of the logged changes. Example: nodes of 4096
 * bytes. Changes of 64 bytes give a share of 1/16; changes of 16 bytes give 1.
 */
const goneShareMin = 1 / 16;
const goneShareAllAt = 256;
/**
 * Bytes of logs, and bytes of replaced values, that may wait in any forest.
 * `JournalLimits.logBytes` may allow less for logs.
 */
const bytesMin = 256 * 1024;
/** In a larger forest each of the two may reach this share of the bytes of live values. */
const bytesShare = 1 / 4;
/** A generation's share of what is bounded for two: while one is written, the next one grows. */
const generationShare = 1 / 2;

export interface JournalLimits {
  /** Bytes of logs, at most. 0: every commit writes its nodes. */
  readonly logBytes: number;
  /** Approximate bytes of memory for nodes that are not stored, at most. */
  readonly memoryBytes: number;
}

/** The changes that a commit would add to a generation. */
export interface Added {
  readonly logBytes: number;
  /** Puts and deletes. */
  readonly changes: number;
  readonly garbage: Garbage;
  /** Nodes of the garbage that are stored or will be. */
  readonly storedNodes: number;
  /** Bytes in the file of the values of the garbage. */
  readonly valueBytes: number;
}

export interface MeasuredStore {
  statistics(): Pick<StoreStatistics, 'values' | 'archivedValues' | 'valueBytes'>;
}

export class JournalBounds {
  readonly limits: JournalLimits;
  readonly #store: MeasuredStore;
  #isMeasured = false;
  #liveNodes = 0;
  #liveBytes = 0;

  constructor(limits: JournalLimits, store: MeasuredStore) {
    this.limits = limits;
    this.#store = store;
  }

  /**
   * Measures the store once after each writing of nodes, without `unreached` values. False if the
   * store fails.
   */
  measure(unreached: number): boolean {
    if (this.#isMeasured) return true;
    try {
      const { values, archivedValues, valueBytes } = this.#store.statistics();
      this.#liveNodes = Math.max(0, values - archivedValues - unreached);
      this.#liveBytes = (valueBytes * this.#liveNodes) / Math.max(1, values);
    } catch (error) {
      if (isVarveError(error)) return false;
      throw error;
    }
    this.#isMeasured = true;
    return true;
  }

  /** Nodes were written: the figures are out of date. */
  forget(): void {
    this.#isMeasured = false;
  }

  get #bytesMax(): number {
    return Math.max(bytesMin, this.#liveBytes * bytesShare);
  }

  /**
   * The part of its room that a generation takes with what a commit adds; above 1 if that is not
   * enough. Without a generation: what the commit takes by itself. `before`: the generation that is
   * being written meanwhile, whose room it leaves alone.
   */
  fill(generation: Generation | undefined, added: Added, before?: Generation): number {
    return this.#fill(generation ?? empty, added, before ?? empty, generationShare);
  }

  /** As `fill`, if no other generation follows. */
  fillOfAll(generation: Generation, added: Added): number {
    return this.#fill(generation, added, empty, 1);
  }

  /** `share`: the part of all room that the generation may take. */
  #fill(one: Generation, added: Added, other: Generation, share: number): number {
    const { limits } = this;
    const bytesMax = this.#bytesMax;
    const logBytesMax = Math.min(limits.logBytes, bytesMax);
    const { meanBytes } = added.garbage;
    const nodeBytes = one.garbage.nodes.length * meanBytes + added.garbage.bytes;
    const otherNodeBytes = other.garbage.nodes.length * meanBytes;
    return Math.max(
      part(one.bytes + added.logBytes, roomBeside(other.bytes, logBytesMax, share)),
      part(one.valueBytes + added.valueBytes, roomBeside(other.valueBytes, bytesMax, share)),
      part(nodeBytes, roomBeside(otherNodeBytes, limits.memoryBytes, share)),
      part(one.roots + 1, roomBeside(other.roots, rootsMax - 1, share)),
      this.#fillOfNodes(one, added),
    );
  }

  /**
   * Replaced nodes keep their space until the new ones are written, which come on top: only a share
   * of the forest may wait. If each commit replaces most of the forest anyway, all may. The next
   * generation replaces nodes that take their space in any case.
   */
  #fillOfNodes({ counted, garbage }: Generation, added: Added): number {
    const waiting = garbage.nodes.length + added.storedNodes;
    // Means over the whole generation: those of one commit vary much.
    const nodes = garbage.nodes.length + added.garbage.nodes.length;
    const nodeBytes = (garbage.bytes + added.garbage.bytes) / Math.max(1, nodes);
    const changes = counted.changes + added.changes;
    const changesOfNode = (nodeBytes * changes) / Math.max(1, counted.bytes + added.logBytes);
    const share = Math.max(goneShareMin, (changesOfNode / goneShareAllAt) ** 2);
    const nodesMax = Math.max(goneMin, this.#liveNodes * Math.min(1, share));
    const isAnyway = this.#liveNodes - added.garbage.nodes.length <= nodesMax;
    return isAnyway ? 0 : waiting / nodesMax;
  }
}

const empty = new Generation();

/** The room that is left beside what the other generation has taken. */
function roomBeside(other: number, max: number, share: number): number {
  return Math.min(max * share, max - other);
}

function part(taken: number, room: number): number {
  return room > 0 ? taken / room : Number.POSITIVE_INFINITY;
}
