/**
 * The changes that are durable in roots and in no node yet: a commit's changes go there where
 * writing its nodes would take much more, and are written back to the nodes with those of others.
 *
 * Invariant: it tells of durable commits only. What the stored trees reach stays as it is until it
 * is written back: nodes and values that the present state has no use for are kept here, and are
 * archived by the commit that writes nodes. Decides and keeps count; reads and writes nothing.
 */

import { isVarveError } from '../../errors.ts';
import type { GrainId, StoreStatistics } from '../../index.ts';
import type { NodeRef, TreeRoot } from '../nodes/node.ts';
import type { RootLink, TreeChanges } from './forest-root.ts';

/** Roots that an opening has to read, at most. */
const rootsMax = 500;
/** So many replaced nodes may wait in any forest. */
const goneLeast = 500;
/**
 * In a larger one a share of what it has: small where nodes hold few entries, since it is space
 * that is taken for little; all of it where a node is written for the sake of a 256th of it.
 */
const goneShareLeast = 1 / 16;
const goneShareAllAt = 256;
/** Bytes of logs in any forest, as far as it may have so many, and bytes of replaced values. */
const bytesLeast = 256 * 1024;
/** In a larger one this part of what its values take, of each of the two. */
const bytesShare = 1 / 4;
/**
 * So many short roots are made one by the commit after them, so that there are few values and an
 * opening reads few: to do it in each commit would cost a tenth of its time.
 */
const shortRootsMax = 16;
/** Of so many bytes in all. */
const togetherBytesMax = 16 * 1024;

/** What a commit changes. */
export interface JournalEntry {
  /** Only nodes can tell of it. */
  readonly needsNodes: boolean;
  /** Bytes of the logs of its changes. */
  readonly logBytes: number;
  /** Puts and deletes in these logs. */
  readonly changes: number;
  /** Nodes that it replaces or drops; some were never stored. */
  readonly gone: readonly NodeRef[];
  /** Memory that those take. */
  readonly goneBytes: number;
  readonly goneValues: readonly GrainId[];
  /** Bytes that those take in the file. */
  readonly goneValueBytes: number;
  readonly logs: readonly TreeChanges[];
}

export interface JournalLimits {
  /** Bytes of logs that it has at most; 0: every commit writes its nodes. */
  readonly logBytes: number;
  /** Memory of nodes that are not stored, at most, about. */
  readonly memoryBytes: number;
}

/** How a commit's changes are told. */
export interface Place {
  readonly depth: number;
  readonly earlier: RootLink | undefined;
  readonly changes: readonly TreeChanges[];
  /** Roots that it takes the place of, and tells the changes of. */
  readonly replaced: readonly RootLink[];
}

/** A root that may become one with those after it. */
interface ShortRoot {
  readonly root: RootLink;
  readonly changes: readonly TreeChanges[];
  readonly bytes: number;
}

export interface StoredRoots {
  readonly catalog: TreeRoot;
  readonly shares: TreeRoot;
}

/** What the store has, what is archived and not freed yet included. */
type StoreSizes = Pick<StoreStatistics, 'values' | 'archivedValues' | 'valueBytes'>;

/** What an opening finds. */
export interface FoundJournal {
  readonly stored: StoredRoots;
  /** Oldest first. */
  readonly roots: readonly RootLink[];
  readonly changes: readonly TreeChanges[];
  readonly gone: readonly NodeRef[];
  readonly goneBytes: number;
  readonly goneValues: readonly GrainId[];
  readonly goneValueBytes: number;
  /** Changes that could not be done again. */
  readonly kept: readonly TreeChanges[];
}

export class Journal {
  /** The catalog and the shares that the changes are changes of. */
  stored: StoredRoots;
  /** The root that wrote `stored`, and those since; oldest first. */
  readonly roots: RootLink[];
  /** Trees whose present record is not in the stored catalog. */
  readonly trees = new Set<string>();
  /** Stored nodes and values that the present state has no use for. */
  readonly gone: NodeRef[];
  readonly goneValues: GrainId[];
  #goneValueBytes = 0;
  /** Memory that the nodes take in place of those, about. */
  #goneBytes = 0;
  /** Changes of trees that cannot be read: every root goes on telling of them. */
  readonly kept: readonly TreeChanges[];
  /** Bytes of the logs, those that are kept apart. */
  bytes = 0;
  readonly #most: JournalLimits;
  /** The newest roots, as far as they are short. */
  #short: ShortRoot[] = [];
  readonly #sizes: () => StoreSizes;
  #isMeasured = false;
  #nodes = 0;
  #valueBytes = 0;

  /** `sizes`: of the store. */
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

  /** Asks how much the store has, once for each time that nodes were written. */
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

  /** All changes are in nodes, those apart that cannot be done again. */
  get isEmpty(): boolean {
    return this.trees.size === 0;
  }

  /** The commit's changes are to be told in its root, and its nodes to stay unwritten. */
  takes(entry: JournalEntry): boolean {
    const { needsNodes, logBytes } = entry;
    if (needsNodes || this.roots.length === 0 || this.roots.length >= rootsMax) return false;
    if (this.#most.logBytes === 0 || !this.#measure()) return false;
    const most = Math.max(bytesLeast, this.#valueBytes * bytesShare);
    if (this.bytes + logBytes > Math.min(this.#most.logBytes, most)) return false;
    if (this.#goneValueBytes + entry.goneValueBytes > most) return false;
    // Where keys come in their order the nodes take hardly more than the log.
    if (logBytes > entry.goneBytes) return false;
    return this.#mayWait(entry);
  }

  /**
   * What is replaced takes its space until it is written back, and what replaces it comes on top
   * then: a share of the forest, unless each commit replaces most of it anyway.
   */
  #mayWait(entry: JournalEntry): boolean {
    const { gone, logBytes, changes } = entry;
    const nodeBytes = nodeBytesOf(entry);
    const changesOfNode = (nodeBytes * changes) / Math.max(1, logBytes);
    const share = Math.max(goneShareLeast, (changesOfNode / goneShareAllAt) ** 2);
    const most = Math.max(goneLeast, this.#nodes * Math.min(1, share));
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

  /** Memory that nodes take which are not stored, about. */
  get memoryBytes(): number {
    return this.#goneBytes + this.bytes * 2;
  }

  /** Where the changes are told: by themselves, or together with those of short roots before. */
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

  /** A commit is durable that told its changes in its root, at this place. */
  told(entry: JournalEntry, { depth, changes, replaced }: Place, root: RootLink): void {
    const before = this.#shortBytes;
    const isOne = replaced.length > 0;
    const bytes = entry.logBytes + (isOne ? before : 0);
    const isShort = bytes <= togetherBytesMax / 2;
    // The short ones are the newest, without one between them that is not.
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

  /** A commit is durable that has written all nodes. */
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

/** Memory of a node, as those take that the commit replaces. */
function nodeBytesOf({ gone, goneBytes }: JournalEntry): number {
  return goneBytes / Math.max(1, gone.length);
}
