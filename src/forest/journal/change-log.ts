/**
 * The changes that transactions make to the entries of one tree, as bytes: puts and deletes in
 * their order, so that they can be replayed.
 *
 * Invariant: replaying on the same state gives the same tree. A log that outgrows its bound is
 * dropped and stays closed: only nodes have its changes. Bytes that are not a log are
 * `VARVE_CORRUPT`. The layout is in `spec/forest.md`.
 */

import { assert } from '../../util/assert.ts';
import { ByteReader, ByteWriter } from '../../util/cursor.ts';

/** The target of a replay. */
export interface LoggedChanges {
  /** `word` has the length of `value` and the bit that marks a long one. */
  put(key: Uint8Array, value: Uint8Array, word: number): void;
  delete(key: Uint8Array): void;
}

/** Code of a delete. The code of a put is its value word plus 1. */
const deleted = 0;
const noValue = new Uint8Array(0);

/** The engine has memory of up to 64 bytes at hand: most logs are of one small entry. */
const capacityAtFirst = 64;

export class ChangeLog {
  /** Number of changes logged. */
  count = 0;
  readonly #bytesMax: number;
  #writer: ByteWriter | undefined = new ByteWriter(capacityAtFirst);

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  put(key: Uint8Array, value: Uint8Array, word: number): void {
    assert(word >>> 1 === value.length, 'a value word has the length of the value');
    this.#append(word + 1, key, value);
  }

  delete(key: Uint8Array): void {
    this.#append(deleted, key, noValue);
  }

  #append(code: number, key: Uint8Array, value: Uint8Array): void {
    const writer = this.#writer;
    if (writer === undefined) return;
    this.count += 1;
    writer.varint(code);
    writer.varint(key.length);
    writer.bytes(key);
    writer.bytes(value);
    if (writer.length > this.#bytesMax) this.close();
  }

  /** Closes the log: a change was made that it cannot express. */
  close(): void {
    this.#writer = undefined;
  }

  /** All changes; undefined if the log is closed. */
  get bytes(): Uint8Array | undefined {
    return this.#writer?.view();
  }
}

/** Replays a log. Throws `VARVE_CORRUPT`. */
export function replayChanges(bytes: Uint8Array, changes: LoggedChanges): void {
  const reader = new ByteReader(bytes, 'a log of changes');
  while (reader.remaining > 0) {
    const code = reader.varint();
    const key = reader.bytes(reader.varint());
    if (code === deleted) changes.delete(key);
    else changes.put(key, reader.bytes(Math.floor((code - 1) / 2)), code - 1);
  }
}
