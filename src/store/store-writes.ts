/**
 * All that writes in one open store: sessions, their pushes and commits, single puts, updates of
 * the embedded header.
 *
 * Invariant: after `ended` nothing is written to the file. A store that was opened read-only has
 * it too, and each method refuses. It decides nothing else.
 */

import { Committer } from './commit/committer.ts';
import { HeaderClaim } from './commit/header-claim.ts';
import { OpenSessions } from './commit/open-sessions.ts';
import { SessionWork } from './commit/session-work.ts';
import { HeaderUpdates } from './header-updates.ts';
import { newSession, type Session, type SessionHome } from './session.ts';
import { SinglePuts } from './single-puts.ts';
import type { BatchId } from './state/batch-id.ts';
import type { StoreCore } from './state/core.ts';
import { Pushes } from './streams/pushes.ts';

export class StoreWrites {
  readonly puts: SinglePuts;
  readonly headerUpdates: HeaderUpdates;
  readonly header: HeaderClaim;
  readonly #core: StoreCore;
  readonly committer: Committer;
  readonly #open = new OpenSessions();
  readonly #pushes: Pushes;
  readonly #home: SessionHome;

  constructor(core: StoreCore) {
    this.#core = core;
    this.committer = new Committer(core);
    this.#pushes = new Pushes(core);
    this.puts = new SinglePuts(core, this.committer);
    this.header = new HeaderClaim(core);
    this.headerUpdates = new HeaderUpdates(core, () => this.#newSession(true));
    const { header } = this;
    const [committer, open, pushes] = [this.committer, this.#open, this.#pushes];
    this.#home = { core, committer, open, pushes, header };
  }

  /** A commit is queued or in flight. */
  get areCommitting(): boolean {
    return this.committer.busy;
  }

  /** Nothing is reserved or being written. */
  get areQuiet(): boolean {
    const areWriting = this.puts.areWriting || this.#pushes.areRunning || this.committer.busy;
    return !this.#core.poisoned && this.#open.size === 0 && !areWriting;
  }

  /** Throws `VARVE_READ_ONLY`, `VARVE_CLOSED`, `VARVE_POISONED`. */
  session(): Session {
    return this.#newSession(false);
  }

  #newSession(replacesHeader: boolean): Session {
    this.#core.checkWritable();
    const work = new SessionWork(this.#core.staging);
    work.replacesHeader = replacesHeader;
    return newSession(this.#home, work);
  }

  /** As `Store.checkpointTo`. */
  async checkpointTo(batch: BatchId): Promise<BatchId> {
    const session = this.session();
    try {
      session.checkpointTo(batch);
    } catch (error) {
      session.abandon();
      throw error;
    }
    return await session.commit();
  }

  /** Abandons open sessions; pushes in flight end with `VARVE_CLOSED`. */
  abandonAll(): void {
    this.#open.abandonAll();
  }

  /**
   * Waits for all that is in flight, then settles. Requires: the store is closed, and sessions are
   * abandoned. Rejects as `Committer.settleAll`.
   */
  async ended(): Promise<void> {
    const core = this.#core;
    await this.puts.settled();
    await this.#pushes.settled();
    await this.committer.drained();
    if (!core.readOnly && !core.poisoned) await this.committer.settleAll();
  }
}
