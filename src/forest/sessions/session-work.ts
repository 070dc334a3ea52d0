/**
 * The work of a forest's session, apart from the object that its user holds: that one can be
 * collected.
 *
 * Invariants:
 * - It is open, then ended; an adopted one has ended for its user.
 * - While it is open, its values are in a session of the store of its own. No commit can take them
 *   along, and `giveUp` frees their grains at once.
 * - `pushed` has the ids of its values that it has not withdrawn.
 *
 * It commits nothing: a group's session takes it over (`Group.takeAdopted`).
 */

import { isVarveError, VarveError } from '../../errors.ts';
import type { GrainId, Session } from '../../index.ts';
import { assert } from '../../util/assert.ts';
import type { NodeStore } from '../nodes/node-store.ts';

export class ForestSessionWork {
  /** The session of the store that has its values and its claims. */
  readonly session: Session;
  /** Identifies the forest. */
  readonly nodes: NodeStore;
  readonly pushed = new Set<GrainId>();
  /** Number of committed values that it archives. */
  archived = 0;
  #state: 'open' | 'ended' | 'closed' = 'open';
  /** Pushes in flight. */
  readonly #pushes = new Set<Promise<unknown>>();

  constructor(session: Session, nodes: NodeStore) {
    this.session = session;
    this.nodes = nodes;
  }

  get isOpen(): boolean {
    return this.#state === 'open';
  }

  get isEmpty(): boolean {
    return this.pushed.size === 0 && this.archived === 0;
  }

  /** Throws `VARVE_SESSION_ENDED`, or `VARVE_CLOSED` if the forest was closed before its end. */
  checkOpen(): void {
    this.#checkNotClosed();
    if (this.#state === 'ended') {
      throw new VarveError('VARVE_SESSION_ENDED', 'the session has ended');
    }
  }

  #checkNotClosed(): void {
    if (this.#state === 'closed') throw new VarveError('VARVE_CLOSED', 'the forest is closed');
  }

  /** Runs a push that takes several turns; until it settles, the work cannot be adopted. */
  async push(run: () => Promise<GrainId>): Promise<GrainId> {
    const running = run();
    this.#pushes.add(running);
    try {
      const id = await running;
      this.pushed.add(id);
      return id;
    } catch (error) {
      // The store's session was abandoned, since the forest was closed.
      if (isVarveError(error, 'VARVE_SESSION_ENDED')) this.#checkNotClosed();
      throw error;
    } finally {
      this.#pushes.delete(running);
    }
  }

  /** Throws if it cannot be adopted now: `VARVE_BUSY`, and as `checkOpen`. */
  checkAdoptable(): void {
    this.checkOpen();
    if (this.#pushes.size === 0) return;
    throw new VarveError('VARVE_BUSY', 'a push of the session is in flight: await it first');
  }

  /** It ends for its user, and belongs to a transaction or to another session from now on. */
  becomeAdopted(): void {
    assert(this.#pushes.size === 0, 'a session is adopted without pushes in flight');
    this.#state = 'ended';
  }

  /** Moves the work of another session here. Requires: both are open, `other` is adoptable. */
  take(other: ForestSessionWork): void {
    this.session.adopt(other.session);
    other.becomeAdopted();
    for (const id of other.pushed) this.pushed.add(id);
    this.archived += other.archived;
  }

  /** Frees the grains of its values and drops its claims. Pushes in flight end. Idempotent. */
  giveUp(): void {
    this.#state = this.#state === 'closed' ? 'closed' : 'ended';
    this.session.abandon();
  }

  /** As `giveUp`: the forest is being closed. Resolves when its pushes have settled. */
  async close(): Promise<void> {
    this.#state = 'closed';
    this.session.abandon();
    await Promise.allSettled([...this.#pushes]);
  }
}

/** A value of one of these sessions, as stored. */
export function adoptedValue(
  works: readonly ForestSessionWork[],
  id: GrainId,
): Uint8Array<ArrayBuffer> | undefined {
  for (const { pushed, session } of works) if (pushed.has(id)) return session.get(id);
  return undefined;
}
