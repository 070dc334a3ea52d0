/**
 * The journal: changes that are durable in roots and that no stored node has yet. A commit logs its
 * changes instead of writing nodes if that is much smaller; a later commit writes the nodes of
 * many.
 *
 * Invariant: it has changes of durable commits only. The stored trees stay complete until nodes are
 * written: replaced nodes and values are listed here, and the commit that writes nodes archives
 * them. It decides and counts; it reads and writes nothing.
 */

import { isVarveError } from '../../errors.ts';
import type { GrainId, StoreStatistics } from '../../index.ts';
import type { NodeRef, TreeRoot } from '../nodes/node.ts';
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
/**
 * The commit after this many short roots merges them into its own root: there are few values, and
 * an open reads few. Merging in each commit would cost a tenth of its time.
 */
const shortRootsMax = 16;
/** Bytes of logs in a merged root, at most. */
const togetherBytesMax = 16 * 1024;

/** The changes of a commit. */
export interface JournalEntry {
  /** Its logs are incomplete: it must write nodes. */
  readonly needsNodes: boolean;
  /** Bytes of the logs of its changes. */
  readonly logBytes: number;
  /** Puts and deletes in these logs. */
  readonly changes: number;
  /** Nodes that it replaces or drops; some were never stored. */
  readonly gone: readonly NodeRef[];
  /** Bytes of memory that these take. */
  readonly goneBytes: number;
  readonly goneValues: readonly GrainId[];
  /** Bytes that these take in the file. */
  readonly goneValueBytes: number;
  readonly logs: readonly TreeChanges[];
}

export interface JournalLimits {
  /** Bytes of logs, at most. 0: every commit writes its nodes. */
  readonly logBytes: number;
  /** Approximate bytes of memory for nodes that are not stored, at most. */
  readonly memoryBytes: number;
}

/** How a root logs the changes of its commit. */
export interface Place {
  readonly depth: number;
  readonly earlier: RootLink | undefined;
  readonly changes: readonly TreeChanges[];
  /** Roots that are merged into this one. */
  readonly replaced: readonly RootLink[];
}

/** A root that may be merged with later ones. */
interface ShortRoot {
  readonly root: RootLink;
  readonly changes: readonly TreeChanges[];
  readonly bytes: number;
}

export interface StoredRoots {
  readonly catalog: TreeRoot;
  readonly shares: TreeRoot;
}

/** Sizes of the store; archived values count until they are freed. */
type StoreSizes = Pick<StoreStatistics, 'values' | 'archivedValues' | 'valueBytes'>;

/** The journal as an open finds it. */
export interface FoundJournal {
  readonly stored: StoredRoots;
  /** Oldest first. */
  readonly roots: readonly RootLink[];
  readonly changes: readonly TreeChanges[];
  readonly gone: readonly NodeRef[];
  readonly goneBytes: number;
  readonly goneValues: readonly GrainId[];
  readonly goneValueBytes: number;
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
  readonly gone: NodeRef[];
  readonly goneValues: GrainId[];
  #goneValueBytes = 0;
  /** Approximate bytes of memory of the nodes that replace these. */
  #goneBytes = 0;
  /** Changes of trees that cannot be read: every new root repeats them. */
  readonly kept: readonly TreeChanges[];
  /** Bytes of the logs, without `kept`. */
  bytes = 0;
  readonly #most: JournalLimits;
  /** The newest roots, if they are short. */
  #short: ShortRoot[] = [];
  readonly #sizes: () => StoreSizes;
  #isMeasured = false;
  #nodes = 0;
  #valueBytes = 0;

  /** `sizes` returns the sizes of the store. */
  constructor(found: FoundJournal, most: JournalLimits, sizes: () => StoreSizes) {
    this.stored = found.stored;
    this.roots = [...found.roots];
    this.gone = [...found.gone];
    this.#goneBytes = found.goneBytes;
    this.goneValues = [...found.goneValues];
    this.#goneValueBytes = found.goneValueBytes;
    this.kept = found.kept;
    this.#most = most;
    this.#sizes = sizes;
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
      const { values, archivedValues, valueBytes } = this.#sizes();
      this.#nodes = values - archivedValues;
      this.#valueBytes = (valueBytes * this.#nodes) / Math.max(1, values);
    } catch (error) {
      if (isVarveError(error)) return false;
      throw error;
    }
    this.#isMeasured = true;
    return true;
  }

  /** Stored nodes have all changes, except `kept`. */
  get isEmpty(): boolean {
    return this.trees.size === 0;
  }

  /** The commit should log its changes in its root and leave its nodes unwritten. */
  takes(entry: JournalEntry): boolean {
    const { needsNodes, logBytes } = entry;
    if (needsNodes || this.roots.length === 0 || this.roots.length >= rootsMax) return false;
    if (this.#most.logBytes === 0 || !this.#measure()) return false;
    const most = Math.max(bytesMin, this.#valueBytes * bytesShare);
    if (this.bytes + logBytes > Math.min(this.#most.logBytes, most)) return false;
    if (this.#goneValueBytes + entry.goneValueBytes > most) return false;
    // With ascending keys few nodes are replaced: writing them costs hardly more than the log.
    if (logBytes > entry.goneBytes) return false;
    return this.#mayWait(entry);
  }

  /**
   * Replaced nodes keep their space until nodes are written, and the new ones come on top: only a
   * share of the forest may wait. If each commit replaces most of the forest anyway, all may.
   */
  #mayWait(entry: JournalEntry): boolean {
    const { gone, logBytes, changes } = entry;
    const nodeBytes = nodeBytesOf(entry);
    const changesOfNode = (nodeBytes * changes) / Math.max(1, logBytes);
    const share = Math.max(goneShareMin, (changesOfNode / goneShareAllAt) ** 2);
    const most = Math.max(goneMin, this.#nodes * Math.min(1, share));
    let waiting = this.gone.length;
    for (const ref of gone) if (ref.stored) waiting += 1;
    if (waiting * nodeBytes > this.#most.memoryBytes) return false;
    return waiting <= most || this.#nodes - gone.length <= most;
  }

  /** Bytes of all logs. */
  get allBytes(): number {
    let bytes = this.bytes;
    for (const { log } of this.kept) bytes += log.length;
    return bytes;
  }

  /** Approximate bytes of memory of nodes that are not stored, and of logs. */
  get memoryBytes(): number {
    return this.#goneBytes + this.bytes * 2;
  }

  /**
   * Decides whether the root logs only these changes or also those of the short roots before it.
   */
  place({ logs, logBytes }: JournalEntry): Place {
    const short = this.#short;
    const isOne = short.length >= shortRootsMax && this.#shortBytes + logBytes <= togetherBytesMax;
    const replaced = isOne ? short.map(({ root }) => root) : [];
    const changes = isOne ? [...short.flatMap((one) => one.changes), ...logs] : logs;
    const depth = this.roots.length - replaced.length;
    return { depth, earlier: this.roots[depth - 1], changes, replaced };
  }

  get #shortBytes(): number {
    let bytes = 0;
    for (const one of this.#short) bytes += one.bytes;
    return bytes;
  }

  /** A commit that logged its changes at this place is durable. */
  told(entry: JournalEntry, { depth, changes, replaced }: Place, root: RootLink): void {
    const before = this.#shortBytes;
    const isOne = replaced.length > 0;
    const bytes = entry.logBytes + (isOne ? before : 0);
    const isShort = bytes <= togetherBytesMax / 2;
    // The short roots are consecutive and the newest ones.
    if (isOne || !isShort || before + bytes > togetherBytesMax) this.#short = [];
    if (isShort) this.#short.push({ root, changes, bytes });
    this.roots.splice(depth, replaced.length, root);
    this.#enter(entry.logs);
    const nodeBytes = nodeBytesOf(entry);
    for (const ref of entry.gone) {
      if (!ref.stored) continue;
      this.gone.push(ref);
      this.#goneBytes += nodeBytes;
    }
    for (const id of entry.goneValues) this.goneValues.push(id);
    this.#goneValueBytes += entry.goneValueBytes;
  }

  /** A commit that wrote all nodes is durable. */
  written(stored: StoredRoots, root: RootLink): void {
    this.stored = stored;
    this.roots.splice(0, this.roots.length, root);
    this.#short = [];
    this.gone.length = 0;
    this.#goneBytes = 0;
    this.goneValues.length = 0;
    this.#goneValueBytes = 0;
    this.trees.clear();
    this.bytes = 0;
    this.#isMeasured = false;
  }
}

/** Mean bytes of memory of a node that the commit replaces. */
function nodeBytesOf({ gone, goneBytes }: JournalEntry): number {
  return goneBytes / Math.max(1, gone.length);
}
