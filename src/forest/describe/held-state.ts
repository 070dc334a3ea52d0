/**
 * One durable state of a forest, with the figures of its store at the same moment.
 *
 * Invariants:
 * - All of it is taken in one go: no commit lies between the trees, the figures and the lists.
 * - Until it is released, no checkpoint frees what the state reaches, nor the log that lists what
 *   had been archived. Beside a writer nothing can be held: reads may throw `VARVE_SNAPSHOT_GONE`.
 * - Nodes that were in memory only stay so here, though later commits store them.
 */

import { isVarveError } from '../../errors.ts';
import type { CheckpointGuard, CommitLogEntry, GrainId, Store } from '../../index.ts';
import type { RunningOperation } from '../../util/operations/running-operation.ts';
import type { DurableState } from '../commits/durable-state.ts';
import type { ForestVersion } from '../commits/forest-version.ts';
import type { WaitingThings } from '../journal/journal.ts';
import type { NodeRef } from '../nodes/node.ts';
import type { ForestContext } from '../trees/forest-context.ts';
import { StoredSizes } from './stored-sizes.ts';

/**
 * A commit is durable some microtasks before its state is the forest's. They are over after a few
 * turns of the event loop, unless another user of the store has replaced the embedded header.
 */
const turnsMax = 100;

export interface HeldState {
  readonly version: ForestVersion;
  readonly context: ForestContext;
  readonly sizes: StoredSizes;
  /** Roots, and things that no tree reaches and that are not archived. */
  readonly waiting: WaitingThings;
  /** The batches whose archived values are not freed. */
  readonly log: AsyncIterable<CommitLogEntry>;
  /** The node was stored when the state was held. */
  isStored(ref: NodeRef): boolean;
  release(): void;
}

/** Holds the newest durable state. Rejects with the reason of the operation's stop. */
export async function holdState(
  state: DurableState,
  operation: RunningOperation,
): Promise<HeldState> {
  const { store } = state.context;
  // From now on checkpoints end: they come at most to this batch.
  const early = store.readOnly ? undefined : store.guard();
  try {
    for (let turns = 0; ; turns++) {
      // No `await` between this check and `heldNow`.
      const isCurrent = state.journal.isHeader || turns >= turnsMax;
      if (isCurrent && store.readOnly) return heldNow(state, undefined);
      const guard = isCurrent ? guardOfLog(store) : undefined;
      if (guard !== undefined) return heldNow(state, guard);
      await operation.turn();
    }
  } finally {
    early?.release();
  }
}

/** Undefined while a checkpoint is in flight. */
function guardOfLog(store: Store): CheckpointGuard | undefined {
  try {
    return store.guard(store.checkpoint);
  } catch (error) {
    if (!isVarveError(error, 'VARVE_LOG_TRUNCATED')) throw error;
    return undefined;
  }
}

function heldNow(state: DurableState, guard: CheckpointGuard | undefined): HeldState {
  const { version, context, journal } = state;
  const { store, nodes } = context;
  const hold = version.hold(() => undefined);
  // Nodes of later transactions have this number or a later one: they are not of this state.
  const owner = context.nextOwner();
  // By id: a node that is evicted meanwhile and read again has other references below it.
  const storedLater = new Set<GrainId>();
  const end = state.followStored((stored) => {
    for (const ref of stored) {
      if (ref.node !== undefined && ref.node.owner < owner) storedLater.add(ref.id);
    }
  });
  const { nodes: replaced, values } = journal.waiting;
  const pending = version.roots.pending.filter((id) => nodes.source.has(id));
  return {
    version,
    context,
    sizes: new StoredSizes(store, nodes.source, store.statistics()),
    waiting: { nodes: replaced, values: [...new Set([...values, ...pending])] },
    log: store.commitLog({ after: store.checkpoint }),
    isStored: (ref) => nodes.isDurable(ref) && !storedLater.has(ref.id),
    release() {
      end();
      hold.release();
      guard?.release();
    },
  };
}
