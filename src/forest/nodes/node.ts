/**
 * The nodes of a tree in memory: leaves with entries, branches with children, and references to
 * both. Their stored form is in `node-encoding.ts`.
 *
 * Invariants:
 * - Only the edit that owns a node changes it; any other edit copies it first.
 * - Child i of a branch has the keys from separator i - 1 on and before separator i.
 * - `counts` (entries below each child) are right; a reducer's part is right or undefined.
 * - Versions of a branch share the references below it: a node is read once for all of them.
 * - A node that is not stored has one referent in the current trees.
 */

import type { GrainId } from '../../index.ts';
import { assert, present } from '../../util/assert.ts';
import { halves, highHalf, lowHalf, wide } from '../../util/bigint-halves.ts';
import { concatEntries, type NodeEntries } from './entries.ts';
import type { NodeMemory } from './node-memory.ts';

/** The layout of the nodes of one tree. */
export interface TreeShape {
  /** Length of every key; -1 if they vary. */
  readonly keyBytes: number;
  /** Length of every value; -1 if they vary. */
  readonly valueBytes: number;
  /** Approximate bytes of a reducer's value; -1 without a reducer. */
  readonly partBytes: number;
  /** A vault is in use: each reference has the number that its node is sealed under. */
  readonly sealed: boolean;
  /** Target size of a node, in bytes as stored. */
  readonly nodeBytes: number;
  /** Longer values are stored by themselves. */
  readonly inlineBytesMax: number;
  readonly memory: NodeMemory;
}

/** Bit of a value word: the value is stored by itself, and the entry has a reference to it. */
export const longBit = 1;

export const nodeHeadBytes = 8;
/** GrainId and the vault's number. */
export const longRefBytes = 16;

export class Leaf {
  readonly leaf = true as const;
  readonly level = 0;
  /** The edit that may change it. */
  owner: number;
  /** It was used since the cache last looked. */
  used = true;
  entries: NodeEntries;
  /** Values stored by themselves. */
  longs = 0;
  /** Puts in a row behind all other entries; below 0: before all others. */
  run = 0;
  /** The reducer's value over all entries. */
  part: unknown;

  constructor(owner: number, entries: NodeEntries) {
    this.owner = owner;
    this.entries = entries;
  }

  /** Entries below. */
  get total(): number {
    return this.entries.count;
  }

  get long(): boolean {
    return this.longs > 0;
  }

  get memoryBytes(): number {
    return this.entries.memoryBytes + objectBytes;
  }

  copy(owner: number): Leaf {
    const copy = new Leaf(owner, this.entries.slice());
    copy.longs = this.longs;
    copy.run = this.run;
    return copy;
  }

  /** Approximate bytes as stored. */
  size({ keyBytes, valueBytes }: TreeShape): number {
    const lengths = (keyBytes < 0 ? 1 : 0) + (valueBytes < 0 ? 2 : 0);
    return nodeHeadBytes + this.entries.live + this.entries.count * lengths;
  }

  countLongs(): void {
    this.longs = 0;
    const { count } = this.entries;
    for (let index = 0; index < count; index++) {
      this.longs += this.entries.word(index) & longBit;
    }
  }
}

/** The entries of a child from the position `low` on and before `high`. */
export interface ChildPart {
  readonly at: number;
  readonly low: number;
  readonly high: number;
  readonly isWhole: boolean;
}

export class Branch {
  readonly leaf = false as const;
  /** Height above the leaves: 1 if the children are leaves. */
  readonly level: number;
  owner: number;
  used = true;
  separators: NodeEntries;
  refs: NodeRef[] = [];
  counts: number[] = [];
  /** Some value below the child may be stored by itself. Empty if that is true of no child. */
  #longs: boolean[] = [];
  /** The reducer's values over the children; undefined if not known. */
  parts: unknown[] = [];
  /** The same as stored bytes; undefined if they were not read or are out of date. */
  storedParts: (Uint8Array | undefined)[] = [];
  part: unknown;

  constructor(owner: number, level: number, separators: NodeEntries) {
    this.owner = owner;
    this.level = level;
    this.separators = separators;
  }

  get total(): number {
    return this.entriesBefore(this.counts.length);
  }

  get long(): boolean {
    return this.#longs.includes(true);
  }

  get memoryBytes(): number {
    return this.separators.memoryBytes + objectBytes + this.refs.length * childBytes;
  }

  copy(owner: number): Branch {
    const copy = new Branch(owner, this.level, this.separators.slice());
    copy.refs = this.refs.slice();
    copy.counts = this.counts.slice();
    if (this.#longs.length > 0) copy.#longs = this.#longs.slice();
    if (this.parts.length > 0) copy.parts = this.parts.slice();
    if (this.storedParts.length > 0) copy.storedParts = this.storedParts.slice();
    return copy;
  }

  /** Index of the child that has the key, or would have it. */
  childOf(key: Uint8Array): number {
    const found = this.separators.search(key);
    return found >= 0 ? found + 1 : ~found;
  }

  /** Entries below the children before this one. */
  entriesBefore(child: number): number {
    let before = 0;
    for (let at = 0; at < child; at++) before += this.counts[at] as number;
    return before;
  }

  size({ keyBytes, partBytes, sealed }: TreeShape): number {
    const child = childStoredBytes + (sealed ? sealBytes : 0) + (keyBytes < 0 ? 1 : 0);
    const part = partBytes < 0 ? 0 : partBytes + 1;
    return nodeHeadBytes + this.separators.live + this.refs.length * (child + part);
  }

  /**
   * The children with entries from the position `from` on and before `to`, and which of their
   * entries.
   */
  *between(from: number, to: number): Generator<ChildPart> {
    let base = 0;
    for (let at = 0; at < this.refs.length && base < to; at++) {
      const count = this.counts[at] as number;
      const low = Math.max(0, from - base);
      const high = Math.min(count, to - base);
      base += count;
      if (low < high) yield { at, low, high, isWhole: high - low === count };
    }
  }

  isLong(at: number): boolean {
    return this.#longs[at] === true;
  }

  setLong(at: number, isLong: boolean): void {
    assert(at < this.refs.length, 'only a child has long values');
    if (this.#longs.length === 0) {
      if (!isLong) return;
      this.#longs = this.refs.map(() => false);
    }
    this.#longs[at] = isLong;
  }

  /** Updates the facts about the child at `index`. Requires: the child is in memory. */
  refresh(index: number): void {
    const node = present(this.refs[index]?.node, 'the child of a branch');
    assert(node.level === this.level - 1, 'a child is one level below its branch');
    this.counts[index] = node.total;
    this.setLong(index, node.long);
    this.forgetPart(index);
  }

  forgetPart(index: number): void {
    this.part = undefined;
    if (this.parts.length > 0) this.parts[index] = undefined;
    if (this.storedParts.length > 0) this.storedParts[index] = undefined;
  }

  /**
   * Inserts a child at `index`, with `separator` between it and its left neighbour, if it has one.
   * Requires: the child is in memory.
   */
  insertChild(index: number, ref: NodeRef, separator: Uint8Array): void {
    assert(index >= 0 && index <= this.refs.length, 'a child is inserted within its branch');
    if (this.refs.length > 0) this.separators.insert(Math.max(0, index - 1), separator, none, 0);
    this.refs.splice(index, 0, ref);
    this.counts.splice(index, 0, 0);
    if (this.#longs.length > 0) this.#longs.splice(index, 0, false);
    if (this.parts.length > 0) this.parts.splice(index, 0, undefined);
    if (this.storedParts.length > 0) this.storedParts.splice(index, 0, undefined);
    this.refresh(index);
  }

  /** Takes out the children from `from` on and before `to`, and the separators before them. */
  removeChildren(from: number, to: number): void {
    const { length } = this.refs;
    assert(from >= 0 && from < to && to <= length, 'removed children are in the branch');
    // If the first child goes, the separator behind the removed children goes too.
    const first = from === 0 ? 0 : from - 1;
    const last = Math.min(first + to - from, length - 1);
    if (last > first) this.separators.remove(first, last);
    for (const column of [this.refs, this.counts, this.#longs, this.parts, this.storedParts]) {
      column.splice(from, to - from);
    }
    this.part = undefined;
  }

  /** The children from `from` on and before `to`, as a branch of its own. */
  slice(from: number, to: number): Branch {
    assert(from < to, 'a branch has a child');
    const part = new Branch(this.owner, this.level, this.separators.slice(from, to - 1));
    part.refs = this.refs.slice(from, to);
    part.counts = this.counts.slice(from, to);
    part.#longs = this.#longs.slice(from, to);
    part.parts = this.parts.slice(from, to);
    part.storedParts = this.storedParts.slice(from, to);
    return part;
  }

  /** These children, then those of `next`, with `separator` between them. */
  concat(next: Branch, separator: Uint8Array): Branch {
    assert(this.level === next.level, 'joined branches have one level');
    const middle = this.separators.slice(0, 0);
    middle.insert(0, separator, none, 0);
    const separators = concatEntries(concatEntries(this.separators, middle), next.separators);
    const both = new Branch(this.owner, this.level, separators);
    both.refs = [...this.refs, ...next.refs];
    both.counts = [...this.counts, ...next.counts];
    if (this.#longs.length > 0 || next.#longs.length > 0) {
      both.#longs = both.refs.map((_, at) => {
        return at < this.refs.length ? this.isLong(at) : next.isLong(at - this.refs.length);
      });
    }
    assert(separators.count === both.refs.length - 1, 'separators lie between children');
    both.parts = columnOf(this, next, 'parts');
    both.storedParts = columnOf(this, next, 'storedParts') as (Uint8Array | undefined)[];
    return both;
  }
}

export type TreeNode = Leaf | Branch;

const none = new Uint8Array(0);
const childStoredBytes = 11;
const sealBytes = 8;
/** Bytes of memory of the objects of a node, as measured, and about those of a child. */
const objectBytes = 1000;
const childBytes = 128;

/** Joins a column of two branches; empty if both are. */
function columnOf(one: Branch, next: Branch, name: 'parts' | 'storedParts'): unknown[] {
  if (one[name].length === 0 && next[name].length === 0) return [];
  const both: unknown[] = Array.from({ length: one.refs.length + next.refs.length });
  for (const [index, part] of one[name].entries()) both[index] = part;
  for (const [index, part] of next[name].entries()) both[one.refs.length + index] = part;
  return both;
}

/** A reference to a node: where it is stored, and the node while it is in memory. */
export class NodeRef {
  /** The GrainId's halves as signed 32-bit numbers; both 0 while the node is not stored. */
  low = 0;
  high = 0;
  /** The number that the node is sealed under; 0 without a vault. */
  seal = 0;
  node: TreeNode | undefined;
  /** Bytes that the cache counts for the node; 0 if it is not cached. */
  cachedBytes = 0;
  /** It is in the cache's list, with or without its node. */
  isListed = false;
  /** Level and number of entries according to the parent; below 0: unknown. */
  levelExpected = -1;
  totalExpected = -1;

  constructor(node?: TreeNode) {
    this.node = node;
  }

  static at(low: number, high: number, seal: number): NodeRef {
    const ref = new NodeRef();
    ref.low = low | 0;
    ref.high = high | 0;
    ref.seal = seal;
    return ref;
  }

  get stored(): boolean {
    return (this.low | this.high) !== 0;
  }

  /** The push did not become durable: the node is in memory only. */
  unstore(): void {
    this.low = 0;
    this.high = 0;
    this.seal = 0;
  }

  get id(): GrainId {
    halves[lowHalf] = this.low;
    halves[highHalf] = this.high;
    return wide[0] as GrainId;
  }

  set id(id: GrainId) {
    assert(id !== 0n, 'a stored node has an id');
    wide[0] = id;
    this.low = (halves[lowHalf] as number) | 0;
    this.high = (halves[highHalf] as number) | 0;
  }
}

/** The root of a tree, with facts about the whole tree. */
export interface TreeRoot {
  /** None in an empty tree. */
  readonly ref: NodeRef | undefined;
  /** Entries. */
  readonly count: number;
  /** Some value may be stored by itself. */
  readonly long: boolean;
}

export const emptyRoot: TreeRoot = Object.freeze({ ref: undefined, count: 0, long: false });
