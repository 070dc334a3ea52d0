/**
 * The claim of one owner that the embedded header is the root of its data structure.
 *
 * Invariant: at most one owner. While there is one, a session archives the value that the embedded
 * header names only if it also sets another one. Otherwise other code could free the root. It only
 * checks; it archives nothing.
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

  /** Takes the claim; the returned function ends it. Throws `VARVE_BUSY`. */
  take(owner: string): () => void {
    if (typeof owner !== 'string' || owner === '') {
      throw invalidArgument('Store.claimEmbeddedHeader', 'a name', owner);
    }
    if (this.#owner !== undefined) {
      throw new VarveError('VARVE_BUSY', `the embedded header is in use by ${this.#owner}`);
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
