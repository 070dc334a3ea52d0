/**
 * Gives values of `Transaction.push` that lie in thin grain maps new ids, as the program allows.
 *
 * Invariants:
 * - Only live values that no tree reaches are moved, never nodes, long values or roots.
 * - Each is moved in a transaction of its own: the program names the new id in it, or nothing
 *   happens.
 * - When `move` settles, all of its transactions have: the program is asked about nothing more.
 */

import { invalidArgument, isVarveError } from '../../errors.ts';
import type { GrainId, Store } from '../../index.ts';
import type { RunningOperation } from '../../util/operations/running-operation.ts';
import type { DurableState } from '../commits/durable-state.ts';
import type { ForestVersion } from '../commits/forest-version.ts';
import type { ForestWriter } from '../commits/forest-writer.ts';
import type { Transaction } from '../contract.ts';
import { longBit, type NodeRef, type TreeRoot, type TreeShape } from '../nodes/node.ts';
import { longId } from '../nodes/node-store.ts';
import { openValue } from '../nodes/pushed-value.ts';
import { nameAfter } from '../trees/catalog.ts';
import { historyShapeOf, shapeOf } from '../trees/tree-record.ts';

export type MovePushed = (tx: Transaction, from: GrainId, to: GrainId) => boolean;

/** Throws `VARVE_INVALID_ARGUMENT`. */
export function checkMovePushed(value: unknown): MovePushed | undefined {
  if (value === undefined || typeof value === 'function') return value as MovePushed | undefined;
  throw invalidArgument('movePushed', 'a function', value);
}

/** Values that are moved at a time: they share commits. */
const atOnceMax = 64;
const atOnceBytes = 2 ** 21;

interface MovedForest {
  readonly store: Store;
  readonly state: DurableState;
}

/** Ends a transaction whose value keeps its id. */
class Kept extends Error {}

export class PushedMoves {
  readonly #forest: MovedForest;
  readonly #writer: ForestWriter;
  readonly #operation: RunningOperation;
  readonly #movePushed: MovePushed;
  #hasFailed = false;

  constructor(
    forest: MovedForest,
    writer: ForestWriter,
    operation: RunningOperation,
    movePushed: MovePushed,
  ) {
    this.#forest = forest;
    this.#writer = writer;
    this.#operation = operation;
    this.#movePushed = movePushed;
  }

  /**
   * Moves those of these values that no tree reaches. Requires: the durable state has an empty
   * journal, and every value of the forest's own among these is older than it.
   */
  async move(ids: Set<GrainId>): Promise<{ bytes: number; batches: number }> {
    await this.#withoutReached(ids);
    const done = { bytes: 0, batches: 0 };
    let group: Promise<number>[] = [];
    let bytes = 0;
    const end = async (): Promise<void> => {
      for (const moved of await Promise.all(group)) done.bytes += moved;
      if (group.length > 0) done.batches += 1;
      group = [];
      bytes = 0;
    };
    try {
      for (const id of ids) {
        const length = this.#forest.store.lengthOf(id);
        if (length === undefined) continue;
        await this.#operation.spend(2 * length);
        group.push(this.#moveOne(id));
        bytes += length;
        if (group.length === atOnceMax || bytes >= atOnceBytes) await end();
      }
      await end();
    } catch (error) {
      this.#hasFailed = true;
      await Promise.allSettled(group);
      throw error;
    }
    return done;
  }

  /** Resolves to the bytes that it moved. */
  async #moveOne(id: GrainId): Promise<number> {
    const value = await this.#read(id);
    if (value === undefined || this.#hasFailed) return 0;
    try {
      await this.#writer.runAtOnce((tx) => {
        if (this.#hasFailed) throw new Kept();
        // First: the program is not asked about a value that was archived meanwhile.
        archiveLive(tx, id);
        const isMoved: unknown = this.#movePushed(tx, id, tx.push(value));
        if (typeof isMoved !== 'boolean') {
          throw invalidArgument('movePushed', 'a function that returns true or false', isMoved);
        }
        if (!isMoved) throw new Kept();
      });
      return value.length;
    } catch (error) {
      if (error instanceof Kept) return 0;
      throw error;
    }
  }

  /** Undefined if the value has gone, or belongs to another user of the store. */
  async #read(id: GrainId): Promise<Uint8Array | undefined> {
    const { nodes } = this.#forest.state.context;
    const stored = await nodes.source.getAsync(id);
    try {
      return openValue(nodes, id, stored);
    } catch (error) {
      if (isVarveError(error, 'VARVE_VAULT') && error.grainId === id) return undefined;
      throw error;
    }
  }

  // ── what trees reach ──

  /** Takes out what is the forest's own. */
  async #withoutReached(ids: Set<GrainId>): Promise<void> {
    const { store, state } = this.#forest;
    const { version, context } = state;
    const { catalog, shares, pending } = version.roots;
    const hold = version.hold(() => this.#operation.check());
    try {
      for (const id of pending) ids.delete(id);
      if (store.embeddedHeader !== undefined) ids.delete(store.embeddedHeader);
      await this.#reach(ids, version, catalog, context.catalogShape);
      await this.#reach(ids, version, shares, context.sharesShape);
      const next = (name?: string): string | undefined =>
        nameAfter(version.nodes, context.catalogShape, catalog, name);
      for (let name = next(); name !== undefined; name = next(name)) {
        const record = version.record(name);
        if (record === undefined || record.isDropped === true) continue;
        const { config, main, history } = record;
        await this.#reach(ids, version, main, shapeOf(config, context.limits));
        await this.#reach(ids, version, history, historyShapeOf(config, context.limits));
      }
    } finally {
      hold.release();
    }
  }

  async #reach(
    ids: Set<GrainId>,
    version: ForestVersion,
    { ref, long }: TreeRoot,
    shape: TreeShape,
  ): Promise<void> {
    if (ref !== undefined) await this.#reachNode(ids, version, ref, { shape, long, level: -1 });
  }

  async #reachNode(
    ids: Set<GrainId>,
    version: ForestVersion,
    ref: NodeRef,
    { shape, long, level }: { shape: TreeShape; long: boolean; level: number },
  ): Promise<void> {
    await this.#operation.breathe();
    if (ref.stored) ids.delete(ref.id);
    if (level === 0 && !long) return;
    const node = await version.nodes.loadAsync(ref, shape);
    if (!node.leaf) {
      for (const [at, child] of node.refs.entries()) {
        const below = { shape, long: node.isLong(at), level: node.level - 1 };
        await this.#reachNode(ids, version, child, below);
      }
      return;
    }
    const { entries } = node;
    for (let index = 0; node.longs > 0 && index < entries.count; index++) {
      if ((entries.word(index) & longBit) === 0) continue;
      ids.delete(longId(entries.heap, entries.valueOffset(index)));
    }
  }
}

/** Throws `Kept` if the value has been archived. */
function archiveLive(tx: Transaction, id: GrainId): void {
  try {
    tx.archive(id);
  } catch (error) {
    const hasGone =
      isVarveError(error, 'VARVE_ALREADY_ARCHIVED') || isVarveError(error, 'VARVE_NOT_FOUND');
    throw hasGone ? new Kept() : error;
  }
}
