/**
 * What transactions do to the entries of one tree, as bytes, so that it can be done again on the
 * state that they stood on: puts and deletes, in their order.
 *
 * Invariant: doing it again changes the tree as it was changed the first time. A log that has grown
 * beyond its bound is empty and stays so: its changes are to be found in nodes only. Bytes that are
 * no log are `VARVE_CORRUPT`. They are described in `spec/forest.md`.
 */

import { ByteReader, ByteWriter } from '../../util/cursor.ts';

/** Who does the changes again. */
export interface LoggedChanges {
  /** `word` says the length of `value`, and whether it names a long one. */
  put(key: Uint8Array, value: Uint8Array, word: number): void;
  delete(key: Uint8Array): void;
}

/** In place of the word of a value, plus 1: the key was deleted. */
const deleted = 0;
const noValue = new Uint8Array(0);

export class ChangeLog {
  /** Changes that it was told of. */
  count = 0;
  readonly #bytesMax: number;
  #writer: ByteWriter | undefined = new ByteWriter();

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  put(key: Uint8Array, value: Uint8Array, word: number): void {
    this.#tell(word + 1, key, value);
  }

  delete(key: Uint8Array): void {
    this.#tell(deleted, key, noValue);
  }

  #tell(what: number, key: Uint8Array, value: Uint8Array): void {
    const writer = this.#writer;
    if (writer === undefined) return;
    this.count += 1;
    writer.varint(what);
    writer.varint(key.length);
    writer.bytes(key);
    writer.bytes(value);
    if (writer.length > this.#bytesMax) this.close();
  }

  /** Something was changed that it cannot tell. */
  close(): void {
    this.#writer = undefined;
  }

  /** All that was done; undefined where it cannot tell. */
  get bytes(): Uint8Array | undefined {
    return this.#writer?.view();
  }
}

/** Does again what a log tells. Throws `VARVE_CORRUPT`. */
export function doAgain(bytes: Uint8Array, changes: LoggedChanges): void {
  const reader = new ByteReader(bytes, 'a log of changes');
  while (reader.remaining > 0) {
    const told = reader.varint();
    const key = reader.bytes(reader.varint());
    if (told === deleted) changes.delete(key);
    else changes.put(key, reader.bytes(Math.floor((told - 1) / 2)), told - 1);
  }
}
