/**
 * What the forest asks of a vault, and what it tells it of the bytes.
 *
 * Invariant: no two values of a forest are sealed under the same context, so that one cannot be put
 * in the place of the other. The vaults themselves are in `varve/vault`.
 */

import { setU64 } from '../util/little-endian.ts';

/** Called once on each value that the forest stores: encryption, compression. */
export interface Vault {
  readonly name: string;
  /**
   * `context` says what the bytes are (tree, node or value) and is to be authenticated, so that
   * sealed values cannot be swapped.
   */
  seal(plain: Uint8Array, context: Uint8Array): Uint8Array;
  /** Throws where the bytes were tampered with: `VARVE_VAULT`. */
  open(sealed: Uint8Array, context: Uint8Array): Uint8Array;
}

export type SealedKind = 'forest' | 'node' | 'value';

const kinds: readonly SealedKind[] = ['forest', 'node', 'value'];

/** The kind, and the number that no other value of this kind in the forest has. */
export function contextOf(kind: SealedKind, number: number): Uint8Array {
  const context = new Uint8Array(9);
  context[0] = kinds.indexOf(kind);
  setU64(context, 1, number);
  return context;
}
