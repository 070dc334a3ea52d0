/**
 * Measures the trees of one state of a forest: the bytes that each tree alone reaches, and those
 * that it shares with others.
 *
 * It walks the trees three times:
 * 1. It finds what several trees reach. It goes below a shared thing only the first time.
 * 2. A long value may be in the entries and in the history of one tree, and only one of them be
 *    shared. So it marks all long values below things that several trees reach.
 * 3. It counts each tree on its own; everything below a thing that several trees reach is shared.
 *
 * Leaves without long values are not read, only their lengths are. Without shared things the first
 * two walks are left out.
 *
 * Invariants:
 * - A thing counts once in a tree, though a long value may be in its entries and in its history.
 * - Nodes that were in memory only when the state was held have no bytes.
 * - Memory beside the cache of nodes is a table of the shared things, and one path.
 */

import type { GrainId } from '../../index.ts';
import { getU32BigEndian } from '../../util/big-endian.ts';
import { getU32 } from '../../util/little-endian.ts';
import type { RunningOperation } from '../../util/operations/running-operation.ts';
import { type Leaf, longBit, NodeRef, type TreeRoot, type TreeShape } from '../nodes/node.ts';
import type { NodeStore } from '../nodes/node-store.ts';
import { TreeCursor } from '../trees/tree-search.ts';
import type { HeldState } from './held-state.ts';
import { ShareTable } from './share-table.ts';

/** Bytes that reading a length takes, about: a block of the file. */
const lengthReadBytes = 4000;

/** One of the trees: its number, from 1, and its parts with nodes of their own. */
export interface MeasuredTree {
  readonly number: number;
  readonly parts: readonly { readonly root: TreeRoot; readonly shape: TreeShape }[];
}

export interface TreeBytes {
  /** Bytes that only this tree reaches. */
  own: number;
  shared: number;
}

/** The facts about the path to a node. */
interface Path {
  readonly tree: number;
  readonly shape: TreeShape;
  /** Several trees reach the path. */
  readonly isShared: boolean;
  /** No tree was counted along this path before. */
  readonly isFirst: boolean;
}

export class Measurement {
  /** Bytes of everything that was counted, each thing once. */
  distinctBytes = 0;
  readonly #nodes: NodeStore;
  readonly #held: Pick<HeldState, 'sizes' | 'isStored'>;
  readonly #operation: RunningOperation;
  #shares = new ShareTable(0);
  #phase = 'finding shared nodes';
  #done = 0;
  #bytes: TreeBytes = { own: 0, shared: 0 };

  constructor(
    nodes: NodeStore,
    held: Pick<HeldState, 'sizes' | 'isStored'>,
    operation: RunningOperation,
  ) {
    this.#nodes = nodes;
    this.#held = held;
    this.#operation = operation;
  }

  /** Finds what the trees share. `shares`: the tree of shares. */
  async findShared(shares: MeasuredTree['parts'][number], trees: () => Iterable<MeasuredTree>) {
    const { root, shape } = shares;
    this.#operation.report(this.#progress);
    if (root.count === 0) return;
    this.#shares = new ShareTable(root.count);
    const cursor = new TreeCursor({ nodes: this.#nodes, shape, root }, 0);
    for (let left = root.count; left > 0; left--) {
      await this.#operation.breathe();
      const { entries } = cursor.leaf;
      const at = entries.offset(cursor.index);
      const high = getU32BigEndian(entries.heap, at);
      this.#shares.add({ low: getU32BigEndian(entries.heap, at + 4), high });
      if (left > 1) cursor.forward();
    }
    for (const { number, parts } of trees()) {
      for (const part of parts) await this.#reach(part.root.ref, number, part.shape);
    }
    for (const { parts } of trees()) {
      for (const { root, shape } of parts) {
        if (root.ref !== undefined) await this.#markLongs(root.ref, shape, false);
      }
    }
    this.#shares.forgetCounts();
  }

  /** Marks the long values below things that several trees reach. */
  async #markLongs(ref: NodeRef, shape: TreeShape, isBelowShared: boolean): Promise<void> {
    await this.#operation.breathe();
    const slot = ref.stored ? this.#shares.find(ref) : -1;
    if (slot >= 0 && this.#shares.count(slot, 1) !== 'first') return;
    const isShared = isBelowShared || (slot >= 0 && this.#shares.isOfMany(slot));
    const node = await this.#load(ref, shape);
    if (node.leaf) {
      if (!isShared) return;
      for (const long of longRefs(node)) this.#shares.giveToMany(this.#shares.find(long));
      return;
    }
    for (const [at, child] of node.refs.entries()) {
      if (node.isLong(at)) await this.#markLongs(child, shape, isShared);
    }
  }

  async #reach(ref: NodeRef | undefined, tree: number, shape: TreeShape): Promise<void> {
    if (ref === undefined || !this.#isReachedFirst(ref, tree)) return;
    const node = await this.#load(ref, shape);
    if (node.leaf) {
      for (const ref of longRefs(node)) this.#isReachedFirst(ref, tree);
      return;
    }
    for (const [at, child] of node.refs.entries()) {
      if (node.level > 1 || node.isLong(at)) await this.#reach(child, tree, shape);
      else this.#isReachedFirst(child, tree);
    }
  }

  /** Notes that the tree reaches it. False if it is shared and was reached before. */
  #isReachedFirst(ref: NodeRef, tree: number): boolean {
    const slot = ref.stored ? this.#shares.find(ref) : -1;
    return slot < 0 || this.#shares.reach(slot, tree);
  }

  /** Counts one tree. Requires: `findShared` has found what it shares. */
  async count({ number, parts }: MeasuredTree): Promise<TreeBytes> {
    this.#phase = 'counting';
    this.#bytes = { own: 0, shared: 0 };
    for (const { root, shape } of parts) {
      if (root.ref === undefined) continue;
      const path = { tree: number, shape, isShared: false, isFirst: true };
      await this.#count(root.ref, path);
    }
    return this.#bytes;
  }

  async #count(ref: NodeRef, before: Path): Promise<void> {
    const path = await this.#add(ref, before);
    if (path === undefined) return;
    const node = await this.#load(ref, path.shape);
    if (node.leaf) {
      await this.#countAll([...longRefs(node)], path);
      return;
    }
    const leaves: NodeRef[] = [];
    for (const [at, child] of node.refs.entries()) {
      if (node.level > 1 || node.isLong(at)) await this.#count(child, path);
      else leaves.push(child);
    }
    await this.#countAll(leaves, path);
  }

  /** Counts leaves without long values, or long values. */
  async #countAll(refs: readonly NodeRef[], path: Path): Promise<void> {
    const ids: GrainId[] = [];
    for (const ref of refs) if (this.#held.isStored(ref)) ids.push(ref.id);
    await this.#operation.spend(ids.length * lengthReadBytes);
    await this.#held.sizes.fetch(ids);
    for (const ref of refs) await this.#add(ref, path);
  }

  /** Counts one thing. The path below it; undefined if it was counted in this tree before. */
  async #add(ref: NodeRef, path: Path): Promise<Path | undefined> {
    await this.#operation.breathe();
    this.#done += 1;
    this.#operation.report(this.#progress);
    if (!this.#held.isStored(ref)) return path;
    const slot = this.#shares.find(ref);
    let { isShared, isFirst } = path;
    if (slot >= 0) {
      const counted = this.#shares.count(slot, path.tree);
      if (counted === 'again') return undefined;
      isFirst = counted === 'first';
      isShared ||= this.#shares.isOfMany(slot);
    }
    const bytes = this.#held.sizes.of(ref.id);
    if (isShared) this.#bytes.shared += bytes;
    else this.#bytes.own += bytes;
    if (isFirst) this.distinctBytes += bytes;
    return { ...path, isShared, isFirst };
  }

  async #load(ref: NodeRef, shape: TreeShape) {
    await this.#operation.spend(ref.node === undefined ? shape.nodeBytes : 0);
    await this.#operation.breathe();
    return await this.#nodes.loadAsync(ref, shape);
  }

  get #progress() {
    return { phase: this.#phase, done: this.#done, total: undefined, unit: 'nodes' } as const;
  }
}

/** References to the long values of a leaf. */
function* longRefs({ entries }: Leaf): Generator<NodeRef> {
  for (let index = 0; index < entries.count; index++) {
    if ((entries.word(index) & longBit) === 0) continue;
    const at = entries.valueOffset(index);
    yield NodeRef.at(getU32(entries.heap, at), getU32(entries.heap, at + 4), 0);
  }
}
