/**
 * Gives values of `Transaction.push` that lie in thin grain maps new ids, as the program allows.
 *
 * Invariants:
 * - Only values that no tree reaches are moved, never nodes, long values or roots. An id is not
 *   given again between the look at what trees reach and the move (`withoutArchived`).
 * - Each is moved in a transaction of its own: the program names the new id in it, or nothing
 *   happens.
 */

import { invalidArgument, isVarveError } from '../../errors.ts';
import type { GrainId, Session, Store } from '../../index.ts';
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

/** Ids that are looked at between two turns of the event loop. */
const looksMax = 64;

/** Ends a transaction whose value keeps its id. */
class Kept extends Error {}

export class PushedMoves {
  readonly #forest: MovedForest;
  readonly #writer: ForestWriter;
  readonly #operation: RunningOperation;
  readonly #movePushed: MovePushed;

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
   * Takes out what is archived, or no value any more. Requires: the caller holds a guard of the
   * store until these values have been moved. So the ids that are left name the same values then.
   */
  async withoutArchived(ids: Set<GrainId>): Promise<void> {
    let chunk: GrainId[] = [];
    const end = async (): Promise<void> => {
      this.#dropArchived(ids, chunk);
      chunk = [];
      await this.#operation.breathe();
    };
    for (const id of ids) {
      chunk.push(id);
      if (chunk.length === looksMax) await end();
    }
    await end();
  }

  #dropArchived(ids: Set<GrainId>, some: readonly GrainId[]): void {
    // It claims them, for as long as this takes: only a live value can be claimed.
    const { store } = this.#forest;
    const session = store.session();
    try {
      for (const id of some) {
        if (id === store.embeddedHeader || !mayArchive(session, id)) ids.delete(id);
      }
    } finally {
      session.abandon();
    }
  }

  /**
   * Moves those of these values that no tree reaches. Requires: `withoutArchived`; then the durable
   * state had an empty journal once, so that trees reach every value of the forest's own among
   * these, or a commit has archived it.
   */
  async move(ids: Set<GrainId>): Promise<{ bytes: number; batches: number }> {
    await this.#withoutReached(ids);
    const done = { bytes: 0, batches: 0 };
    const group = new MovedGroup();
    try {
      for (const id of ids) {
        const length = this.#forest.store.lengthOf(id);
        if (length === undefined) continue;
        await this.#operation.spend(2 * length);
        group.add(length, this.#moveOne(id, group));
        if (!group.isFull) continue;
        done.bytes += await group.end();
        done.batches += 1;
      }
    } catch (error) {
      // Moves that have begun end first. From now on they do not ask the program.
      group.fail(error);
    }
    if (group.count > 0) done.batches += 1;
    done.bytes += await group.end();
    return done;
  }

  /** Resolves to the bytes that it moved. */
  async #moveOne(id: GrainId, group: MovedGroup): Promise<number> {
    const { nodes } = this.#forest.state.context;
    try {
      const value = openValue(nodes, id, await nodes.source.getAsync(id));
      if (value === undefined) return 0;
      await this.#writer.runAtOnce((tx) => {
        this.#operation.check();
        // One value of the group has failed: the compaction ends.
        if (group.hasFailed || !mayArchive(tx, id)) throw new Kept();
        try {
          if (!this.#ask(tx, id, tx.push(value))) throw new Kept();
        } catch (error) {
          if (!(error instanceof Kept)) group.fail(error);
          throw error;
        }
      });
      return value.length;
    } catch (error) {
      if (error instanceof Kept || isOfOthers(error, id)) return 0;
      throw error;
    }
  }

  #ask(tx: Transaction, from: GrainId, to: GrainId): boolean {
    const isMoved: unknown = this.#movePushed(tx, from, to);
    if (typeof isMoved === 'boolean') return isMoved;
    throw invalidArgument('movePushed', 'a function that returns true or false', isMoved);
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

/** Values that are moved at a time. */
class MovedGroup {
  readonly #moves: Promise<number>[] = [];
  #bytes = 0;
  #failure: { readonly error: unknown } | undefined;

  get count(): number {
    return this.#moves.length;
  }

  get isFull(): boolean {
    return this.#moves.length === atOnceMax || this.#bytes >= atOnceBytes;
  }

  get hasFailed(): boolean {
    return this.#failure !== undefined;
  }

  add(bytes: number, moved: Promise<number>): void {
    this.#bytes += bytes;
    // A failure is noted at once: it may be long until `end`.
    const noted = moved.catch((error: unknown) => {
      this.fail(error);
      return 0;
    });
    this.#moves.push(noted);
  }

  /** The first error counts. */
  fail(error: unknown): void {
    this.#failure ??= { error };
  }

  /** Waits for all of them; resolves to the bytes that they moved. Rejects with the error. */
  async end(): Promise<number> {
    const moved = await Promise.all(this.#moves);
    if (this.#failure !== undefined) throw this.#failure.error;
    this.#moves.length = 0;
    this.#bytes = 0;
    return moved.reduce((sum, bytes) => sum + bytes, 0);
  }
}

/** Archives the value. False, and nothing happens, if it is archived already or gone. */
function mayArchive(claim: Pick<Session, 'archive'>, id: GrainId): boolean {
  try {
    claim.archive(id);
    return true;
  } catch (error) {
    if (isVarveError(error, 'VARVE_ALREADY_ARCHIVED')) return false;
    if (isVarveError(error, 'VARVE_NOT_FOUND')) return false;
    throw error;
  }
}

/** The value belongs to another user of the store: the vault did not seal it. */
function isOfOthers(error: unknown, id: GrainId): boolean {
  return isVarveError(error, 'VARVE_VAULT') && error.grainId === id;
}
