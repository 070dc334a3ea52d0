/**
 * Makes pieces of the chunks of a stream, and writes one piece while the next one fills.
 *
 * Invariants:
 * - A chunk is copied before the source is asked for the next one: it may use its memory again.
 * - At most one write is in flight. `settle` waits for it: only then grains and memory are free.
 * - A value of one piece is not written: it is for the session to stage.
 *
 * It counts no bytes: the caller adds no more than the value has.
 */

import { present } from '../../util/assert.ts';
import { PiecewiseValue } from '../commit/value-writer.ts';
import type { Reservation } from '../grains/atlas.ts';
import { type PieceMemory, pieceBytes } from './piece-memory.ts';
import type { RunningPush } from './running-push.ts';

/** A value of `length` bytes, and its grains if they are reserved already. */
export interface PlannedValue {
  readonly length: number;
  readonly place: Reservation | undefined;
}

export class PieceWriter {
  readonly #push: RunningPush;
  readonly #memory: PieceMemory;
  readonly #length: number;
  #value: PiecewiseValue | undefined;
  #place: Reservation | undefined;
  /** The piece that fills, and its bytes so far. */
  #piece: Uint8Array | undefined;
  #filled = 0;
  #writing: Promise<void> | undefined;
  #received = 0;

  /** It owns a given place. Without one, grains are reserved when a piece is full. */
  constructor(push: RunningPush, memory: PieceMemory, { length, place }: PlannedValue) {
    this.#push = push;
    this.#memory = memory;
    this.#length = length;
    this.#place = place;
  }

  /** The value is longer than a piece. */
  get isLong(): boolean {
    return this.#length > pieceBytes;
  }

  /** The grains of a value that is one piece: the caller's from now on. */
  takePlace(): Reservation {
    const place = this.#place ?? this.#push.reserve(this.#length);
    this.#place = undefined;
    return place;
  }

  /** All bytes of a value that is one piece. */
  get only(): Uint8Array {
    return this.#piece ?? new Uint8Array(0);
  }

  /** Takes the chunk's bytes. Rejects as `RunningPush.check` and `PiecewiseValue.write`. */
  async add(chunk: Uint8Array): Promise<void> {
    for (let at = 0; at < chunk.length; ) {
      this.#piece ??= this.#memory.take(this.#length - this.#received);
      const part = chunk.subarray(at, at + this.#piece.length - this.#filled);
      this.#piece.set(part, this.#filled);
      this.#filled += part.length;
      this.#received += part.length;
      at += part.length;
      const isFull = this.#filled === this.#piece.length;
      if (isFull && this.isLong) await this.#write(this.#piece);
    }
  }

  /** Begins to write the full piece, after the write before. */
  async #write(piece: Uint8Array): Promise<void> {
    await this.#written();
    const push = this.#push;
    push.check();
    this.#place ??= push.reserve(this.#length);
    this.#value ??= new PiecewiseValue(push.core, this.#place, this.#length);
    this.#piece = undefined;
    this.#filled = 0;
    this.#writing = this.#value.write(piece).finally(() => this.#memory.giveBack(piece));
    // Awaited later: an error in between has a handler.
    this.#writing.catch(() => undefined);
  }

  /** Computes the CRC of what is being written: work for the time in which the source is asked. */
  digest(): void {
    this.#value?.digest();
  }

  async #written(): Promise<void> {
    const writing = this.#writing;
    this.#writing = undefined;
    await writing;
  }

  /**
   * Writes the prefix, and resolves to the value's CRC and grains, which are the caller's from then
   * on. Requires: the value is long, and all its bytes were added. Rejects as `add`.
   */
  async end(): Promise<{ place: Reservation; crc: number }> {
    await this.#written();
    this.#push.check();
    const crc = present(this.#value, 'a long value with all its bytes').end();
    const place = present(this.#place, 'the grains of a written value');
    this.#place = undefined;
    return { place, crc };
  }

  /**
   * Waits for the write in flight, and gives memory back, and the grains unless `end` has handed
   * them over. Never rejects.
   */
  async settle(): Promise<void> {
    await Promise.allSettled([this.#writing]);
    if (this.#piece !== undefined) this.#memory.giveBack(this.#piece);
    this.#piece = undefined;
    if (this.#place !== undefined) this.#push.giveBack(this.#place);
    this.#place = undefined;
  }
}
