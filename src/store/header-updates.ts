/**
 * Updates of the embedded header, one after the other: `Store.updateEmbeddedHeader`.
 *
 * Invariant: an update begins when the one before has settled, so the header that it is given is
 * durable. One that fails leaves no open session.
 */

import { Mutex } from 'async-mutex';
import { invalidArgument } from '../errors.ts';
import type { GrainId } from '../format/grain-id.ts';
import type { Session } from './session.ts';
import type { BatchId } from './state/batch-id.ts';
import type { StoreCore } from './state/core.ts';

/** Returns the new embedded header; null clears it. */
export type HeaderUpdate = (
  session: Session,
  current: GrainId | undefined,
) => GrainId | null | Promise<GrainId | null>;

export class HeaderUpdates {
  readonly #core: StoreCore;
  readonly #newSession: () => Session;
  readonly #mutex = new Mutex();

  constructor(core: StoreCore, newSession: () => Session) {
    this.#core = core;
    this.#newSession = newSession;
  }

  /** Rejects with the error of `update`, and as `Session.commit`. */
  async update(update: HeaderUpdate): Promise<BatchId> {
    this.#core.checkWritable();
    if (typeof update !== 'function') {
      throw invalidArgument('Store.updateEmbeddedHeader', 'a function', update);
    }
    return await this.#mutex.runExclusive(async () => {
      const session = this.#newSession();
      try {
        const { embeddedHeader } = this.#core.published;
        const current = embeddedHeader === 0n ? undefined : (embeddedHeader as GrainId);
        session.setEmbeddedHeader(await update(session, current));
        return await session.commit();
      } catch (error) {
        // A push that is in flight still: the commit was refused.
        session.abandon();
        throw error;
      }
    });
  }
}
