/**
 * The memory in which the chunks of pushed streams become pieces, used again.
 *
 * Invariant: a piece that was taken is not given out again before it is given back: a write in
 * flight reads unchanged bytes. A push has at most two pieces. Reuse saves time: for new memory the
 * system clears each page on first use.
 */

/**
 * Bytes of one write: more than is written on the calling thread, and not much more, since many
 * streams may be pushed at once.
 */
export const pieceBytes = (1024 * 1024) / 2;

/** Pieces kept without a holder. */
const spareMax = 4;

export class PieceMemory {
  readonly #spare: Uint8Array[] = [];

  /** A piece, or `length` bytes if that is less. */
  take(length: number): Uint8Array {
    if (length < pieceBytes) return new Uint8Array(length);
    return this.#spare.pop() ?? new Uint8Array(pieceBytes);
  }

  /** Requires: no write of the piece is in flight. */
  giveBack(piece: Uint8Array): void {
    if (piece.length === pieceBytes && this.#spare.length < spareMax) this.#spare.push(piece);
  }
}
