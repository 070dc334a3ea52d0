/**
 * The journal: changes that are durable in roots and that no stored node has yet. A commit logs its
 * changes instead of writing nodes if that is much smaller; a later commit writes the nodes of
 * many.
 *
 * Invariant: it has changes of durable commits only. The stored trees stay complete until nodes are
 * written: replaced nodes and values are listed here, and the commit that writes nodes archives
 * them. It decides and counts; it writes nothing.
 */

import { isVarveError } from '../../errors.ts';
import type { GrainId, StoreStatistics } from '../../index.ts';
import { assert } from '../../util/assert.ts';
import type { TreeRoot } from '../nodes/node.ts';
import type { NodeSource } from '../nodes/node-store.ts';
import type { Garbage } from '../trees/garbage.ts';
import type { RootLink, TreeChanges } from './forest-root.ts';

/** Roots that an open has to read, at most. */
const rootsMax = 500;
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
/** The changes of a commit. */
export interface JournalEntry {
  /** The logs lack some changes, or nodes were pushed already. */
  readonly needsNodes: boolean;
  /** Bytes of the logs of its changes. */
  readonly logBytes: number;
  /** Puts and deletes in these logs. */
  readonly changes: number;
  readonly logs: readonly TreeChanges[];
  /** Nodes and values that it replaces or drops. */
  readonly garbage: Garbage;
}

export interface JournalLimits {
  /** Bytes of logs, at most. 0: every commit writes its nodes. */
  readonly logBytes: number;
  /** Approximate bytes of memory for nodes that are not stored, at most. */
  readonly memoryBytes: number;
}

/** How a commit keeps its changes, and the root that it writes. */
export interface RootPlan {
  /** The root logs the changes. Otherwise the commit pushes all nodes that are not stored. */
  readonly isLogged: boolean;
  /** Number of earlier roots that are needed too, and the newest of them. */
  readonly depth: number;
  readonly earlier: RootLink | undefined;
  readonly changes: readonly TreeChanges[];
  /** Bytes in the file of the values that the commit replaces. */
  readonly valueBytes: number;
}

export interface StoredRoots {
  readonly catalog: TreeRoot;
  readonly shares: TreeRoot;
}

type Lengths = Pick<NodeSource, 'lengthOf'>;

/** The figures of the store that decide. Archived values count until they are freed. */
interface JournalStore {
  readonly embeddedHeader: GrainId | undefined;
  statistics(): Pick<StoreStatistics, 'values' | 'archivedValues' | 'valueBytes'>;
}

/** The journal as an open finds it. */
export interface FoundJournal {
  readonly stored: StoredRoots;
  /** Oldest first. */
  readonly roots: readonly RootLink[];
  readonly changes: readonly TreeChanges[];
  readonly garbage: Garbage;
  /** Changes that could not be replayed. */
  readonly kept: readonly TreeChanges[];
}

export class Journal {
  /** The stored catalog and shares, which the logged changes start from. */
  stored: StoredRoots;
  /** The root that wrote `stored` and all later ones, oldest first. */
  readonly roots: RootLink[];
  /** Trees whose current record is not in the stored catalog. */
  readonly trees = new Set<string>();
  /** Stored nodes and values that the current state does not reach. */
  readonly garbage: Garbage;
  /** Bytes in the file of these values. */
  #garbageValueBytes: number;
  /** Changes of trees that cannot be read: every new root repeats them. */
  readonly kept: readonly TreeChanges[];
  /** Bytes of the logs, without `kept`. */
  bytes = 0;
  readonly #limits: JournalLimits;
  readonly #store: JournalStore;
  readonly #source: Lengths;
  #isMeasured = false;
  #liveNodes = 0;
  #liveBytes = 0;

  constructor(found: FoundJournal, limits: JournalLimits, store: JournalStore, source: Lengths) {
    this.stored = found.stored;
    this.roots = [...found.roots];
    this.garbage = found.garbage;
    this.kept = found.kept;
    this.#limits = limits;
    this.#store = store;
    this.#source = source;
    this.#garbageValueBytes = this.#bytesOf(found.garbage.values);
    this.#enter(found.changes);
  }

  #enter(changes: readonly TreeChanges[]): void {
    for (const { tree, log } of changes) {
      this.trees.add(tree);
      this.bytes += log.length;
    }
  }

  /** Measures the store once after each writing of nodes. False if the store fails. */
  #measure(): boolean {
    if (this.#isMeasured) return true;
    try {
      const { values, archivedValues, valueBytes } = this.#store.statistics();
      this.#liveNodes = values - archivedValues;
      this.#liveBytes = (valueBytes * this.#liveNodes) / Math.max(1, values);
    } catch (error) {
      if (isVarveError(error)) return false;
      throw error;
    }
    this.#isMeasured = true;
    return true;
  }

  /** Bytes of these values in the file. A value that is missing or unreadable counts 0. */
  #bytesOf(ids: readonly GrainId[]): number {
    let bytes = 0;
    for (const id of ids) {
      try {
        bytes += this.#source.lengthOf(id) ?? 0;
      } catch (error) {
        // An estimate only: archiving the value reports the error.
        if (!isVarveError(error)) throw error;
      }
    }
    return bytes;
  }

  /** Stored nodes have all changes, except `kept`. */
  get isEmpty(): boolean {
    return this.trees.size === 0;
  }

  /** Decides whether the commit logs its changes or writes nodes. Requires: none is in flight. */
  plan(entry: JournalEntry): RootPlan {
    if (this.#isOpenTo(entry)) {
      const valueBytes = this.#bytesOf(entry.garbage.values);
      if (this.#garbageValueBytes + valueBytes <= this.#bytesMax && this.#mayWait(entry)) {
        const link = { depth: this.roots.length, earlier: this.roots.at(-1) };
        return { isLogged: true, ...link, changes: entry.logs, valueBytes };
      }
    }
    const link = { depth: 0, earlier: undefined };
    return { isLogged: false, ...link, changes: this.kept, valueBytes: 0 };
  }

  /** There is room for its logs, and they are much smaller than its nodes. */
  #isOpenTo({ needsNodes, logBytes, garbage }: JournalEntry): boolean {
    const { length } = this.roots;
    if (needsNodes || length === 0 || length >= rootsMax || !this.#isHeader) return false;
    if (this.#limits.logBytes === 0 || !this.#measure()) return false;
    if (this.bytes + logBytes > Math.min(this.#limits.logBytes, this.#bytesMax)) return false;
    // With ascending keys few nodes are replaced: writing them costs hardly more than the log.
    return logBytes <= garbage.bytes;
  }

  /** The store's embedded header still names the newest root: no other user has replaced it. */
  get #isHeader(): boolean {
    return this.roots.at(-1)?.id === this.#store.embeddedHeader;
  }

  get #bytesMax(): number {
    return Math.max(bytesMin, this.#liveBytes * bytesShare);
  }

  /**
   * Replaced nodes keep their space until nodes are written, and the new ones come on top: only a
   * share of the forest may wait. If each commit replaces most of the forest anyway, all may.
   */
  #mayWait({ garbage, logBytes, changes }: JournalEntry): boolean {
    const { nodes, meanBytes } = garbage;
    const changesOfNode = (meanBytes * changes) / Math.max(1, logBytes);
    const share = Math.max(goneShareMin, (changesOfNode / goneShareAllAt) ** 2);
    const nodesMax = Math.max(goneMin, this.#liveNodes * Math.min(1, share));
    let waiting = this.garbage.nodes.length;
    for (const ref of nodes) if (ref.stored) waiting += 1;
    if (waiting * meanBytes > this.#limits.memoryBytes) return false;
    return waiting <= nodesMax || this.#liveNodes - nodes.length <= nodesMax;
  }

  /** Bytes of all logs. */
  get allBytes(): number {
    let bytes = this.bytes;
    for (const { log } of this.kept) bytes += log.length;
    return bytes;
  }

  /** Approximate bytes of memory of nodes that are not stored, and of logs. */
  get memoryBytes(): number {
    return this.garbage.bytes + this.bytes * 2;
  }

  /** The roots that a commit that writes nodes archives. */
  get replacedRoots(): readonly GrainId[] {
    const ids = this.roots.map(({ id }) => id);
    if (this.#isHeader) return ids;
    // Another user replaced the newest root in the embedded header and archived it: archive that
    // user's value instead.
    const { embeddedHeader } = this.#store;
    const own = ids.slice(0, -1);
    return embeddedHeader === undefined ? own : [...own, embeddedHeader];
  }

  /** A commit that logged its changes in this root is durable. */
  logged({ logs, garbage }: JournalEntry, { depth, valueBytes }: RootPlan, root: RootLink): void {
    assert(depth === this.roots.length, 'a root links to the newest one before it');
    this.roots.push(root);
    this.#enter(logs);
    this.garbage.addStored(garbage);
    this.#garbageValueBytes += valueBytes;
  }

  /** A commit that wrote all nodes is durable. */
  flushed({ catalog, shares }: StoredRoots, root: RootLink): void {
    assert(
      catalog.ref?.stored !== false && shares.ref?.stored !== false,
      'stored roots are stored',
    );
    this.stored = { catalog, shares };
    this.roots.splice(0, this.roots.length, root);
    this.garbage.clear();
    this.#garbageValueBytes = 0;
    this.trees.clear();
    this.bytes = 0;
    this.#isMeasured = false;
  }
}
