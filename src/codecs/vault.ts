/**
 * What the forest asks of a vault, and what it tells it of the bytes.
 *
 * Invariant: no two values of a forest are ever sealed under the same context, so that one cannot
 * be put in the place of the other. The vaults themselves are in `varve/vault`.
 */

import { setU64 } from '../util/little-endian.ts';

/**
 * Called once on each value that the forest stores, and once more on the tag of a value that a
 * transaction pushed: encryption, compression. Nodes and long values keep the bytes that `open`
 * gives: a vault must not write to them again.
 */
export interface Vault {
  /** Kept with the forest: it is opened with a vault of this name or not at all. */
  readonly name: string;
  /** Sealed length minus plain length, if it is constant. Streams need it. */
  readonly overheadBytes?: number | undefined;
  /**
   * `context` says what the bytes are (tree, node or value) and is to be authenticated, so that
   * sealed values cannot be swapped. No two calls are given the same one.
   */
  seal(plain: Uint8Array, context: Uint8Array): Uint8Array;
  /** Throws if the bytes were tampered with: `VARVE_VAULT`. */
  open(sealed: Uint8Array, context: Uint8Array): Uint8Array;
}

/** `pushed`: a user's own value; `tag`: what names the id that it was pushed under. */
export type SealedKind = 'forest' | 'node' | 'value' | 'pushed' | 'tag';

/** Places are the kinds of `spec/forest.md`. */
const kinds: readonly SealedKind[] = ['forest', 'node', 'value', 'pushed', 'tag'];

/** The kind, and the number that no other value of this kind in the forest has. */
export function contextOf(kind: SealedKind, number: number): Uint8Array {
  const context = new Uint8Array(9);
  context[0] = kinds.indexOf(kind);
  setU64(context, 1, number);
  return context;
}
