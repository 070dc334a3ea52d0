/**
 * The interface of a vault, and the context that each value is sealed under.
 *
 * Invariant: no two values of a forest are ever sealed under the same context: one cannot replace
 * another. The vaults themselves are in `varve/vault`.
 */

import { assert } from '../util/assert.ts';
import { setU32, setU64 } from '../util/little-endian.ts';

/**
 * Encryption, compression. Called once on each value that the forest stores, once more on the tag
 * of a value that was pushed, and once on each frame of a value that came as a stream. Nodes and
 * long values keep the bytes that `open` returns: a vault must not write to them again.
 */
export interface Vault {
  /** Kept with the forest, which opens only with a vault of this name. */
  readonly name: string;
  /** Sealed length minus plain length, if it is constant. Streams need it. */
  readonly overheadBytes?: number | undefined;
  /**
   * `context` identifies the bytes: their kind and number. Authenticate it, so that sealed values
   * cannot be swapped. No two calls have the same one.
   */
  seal(plain: Uint8Array, context: Uint8Array): Uint8Array;
  /** Throws if the bytes were tampered with: `VARVE_VAULT`. */
  open(sealed: Uint8Array, context: Uint8Array): Uint8Array;
}

/**
 * `pushed`: a user's own value; `tag`: the part of it with the id that it was pushed under;
 * `frame`: a part of a value that came as a stream.
 */
export type SealedKind = 'forest' | 'node' | 'value' | 'pushed' | 'tag' | 'frame';

/** Indexes are the kinds of `spec/forest.md`. */
const kinds: readonly SealedKind[] = ['forest', 'node', 'value', 'pushed', 'tag', 'frame'];

const contextBytes = 9;
const frameIndexOffset = contextBytes;
const lastFrameOffset = frameIndexOffset + 4;
const frameContextBytes = lastFrameOffset + 1;

/** Kind and number as bytes. Requires: no other value of the forest has both. */
export function contextOf(kind: SealedKind, number: number): Uint8Array {
  return begun(kind, number, contextBytes);
}

/** Identifies a frame of a value that came as a stream. */
export interface FrameName {
  /** The number of the value. */
  readonly number: number;
  readonly index: number;
  readonly isLast: boolean;
}

/** Its context: no frame can be left out, moved or cut off unnoticed. */
export function frameContext({ number, index, isLast }: FrameName): Uint8Array {
  const context = begun('frame', number, frameContextBytes);
  setU32(context, frameIndexOffset, index);
  context[lastFrameOffset] = isLast ? 1 : 0;
  return context;
}

function begun(kind: SealedKind, number: number, length: number): Uint8Array {
  assert(Number.isSafeInteger(number) && number >= 0, 'seal numbers are safe integers from 0');
  const context = new Uint8Array(length);
  context[0] = kinds.indexOf(kind);
  setU64(context, 1, number);
  return context;
}
