/**
 * Who says that the store's embedded header is the root of what they keep in it.
 *
 * Invariant: one owner at a time. While there is one, no session archives the value that the
 * embedded header names, unless the session puts another in its place: else the root of a whole
 * structure could be freed by someone who knows nothing of it. It checks; it archives nothing.
 */

import { invalidArgument, VarveError } from '../../errors.ts';
import type { GrainId } from '../../format/grain-id.ts';
import type { StoreCore } from '../state/core.ts';
import type { SessionWork } from './session-work.ts';

export class HeaderClaim {
  readonly #core: StoreCore;
  #owner: string | undefined;

  constructor(core: StoreCore) {
    this.#core = core;
  }

  /** Gives the way to end it. Throws `VARVE_BUSY`. */
  take(owner: string): () => void {
    if (typeof owner !== 'string' || owner === '') {
      throw invalidArgument('Store.claimEmbeddedHeader', 'a name', owner);
    }
    if (this.#owner !== undefined) {
      throw new VarveError('VARVE_BUSY', `${this.#owner} uses the store already`);
    }
    this.#owner = owner;
    let held = true;
    return () => {
      if (held) this.#owner = undefined;
      held = false;
    };
  }

  /** Throws `VARVE_INVALID_ARGUMENT` if the session may not archive this value. */
  checkArchive(id: GrainId, { embeddedHeader, replacesHeader }: SessionWork): void {
    if (this.#owner === undefined || id !== this.#core.published.embeddedHeader) return;
    if (replacesHeader || (embeddedHeader !== undefined && embeddedHeader !== id)) return;
    const root = `the embedded header, the root of ${this.#owner}`;
    const message = `Session.archive: the value is ${root}; set another one first`;
    throw new VarveError('VARVE_INVALID_ARGUMENT', message, { grainId: id });
  }
}
