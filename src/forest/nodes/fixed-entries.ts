/**
 * Entries sorted by key, for keys of one length and values of one length: packed without gaps, as
 * they are stored. After Sanakirja's sized pages.
 *
 * Invariant: it has the methods and invariants of `SortedEntries`. It keeps no lengths, and entries
 * lie in key order: to copy or encode all of them is one copy of bytes.
 */

import { assert } from '../../util/assert.ts';
import { getU32BigEndian } from '../../util/big-endian.ts';
import { copyBytes } from '../../util/bytes.ts';
import type { NodeMemory } from './node-memory.ts';

const none = new Uint8Array(0);
/** Entries that memory from `NodeMemory` has room for, at least. */
const roomMin = 16;

export class FixedEntries {
  count = 0;
  readonly #keyBytes: number;
  readonly #entryBytes: number;
  /** Offset of the first entry. */
  #base = 0;
  #bytes: Uint8Array = none;
  /** The bytes come from `NodeMemory`; otherwise the store returned them. */
  #isOwn = false;

  readonly #memory: NodeMemory;

  constructor(keyBytes: number, valueBytes: number, memory: NodeMemory) {
    this.#keyBytes = keyBytes;
    this.#entryBytes = keyBytes + valueBytes;
    this.#memory = memory;
  }

  /** Takes over `bytes`, which have `count` entries from `base` on. */
  static over(bytes: Uint8Array, base: number, like: FixedEntries, count: number): FixedEntries {
    const made = like.#empty();
    made.#bytes = bytes;
    made.#base = base;
    made.count = count;
    return made;
  }

  /** False if the keys do not rise strictly. */
  get isSorted(): boolean {
    for (let index = 1; index < this.count; index++) {
      if (this.#compare(index - 1, this.key(index)) >= 0) return false;
    }
    return true;
  }

  get live(): number {
    return this.count * this.#entryBytes;
  }

  get memoryBytes(): number {
    return this.#bytes.length;
  }

  keyBytes(_index: number): number {
    return this.#keyBytes;
  }

  word(_index: number): number {
    return (this.#entryBytes - this.#keyBytes) * 2;
  }

  entryBytes(_index: number): number {
    return this.#entryBytes;
  }

  get heap(): Uint8Array {
    return this.#bytes;
  }

  offset(index: number): number {
    return this.#base + index * this.#entryBytes;
  }

  valueOffset(index: number): number {
    return this.#base + index * this.#entryBytes + this.#keyBytes;
  }

  key(index: number): Uint8Array {
    const from = this.offset(index);
    return this.#bytes.subarray(from, from + this.#keyBytes);
  }

  value(index: number): Uint8Array {
    const from = this.valueOffset(index);
    return this.#bytes.subarray(from, from + this.#entryBytes - this.#keyBytes);
  }

  search(key: Uint8Array): number {
    return key.length === this.#keyBytes && key.length >= 4
      ? this.#searchByHead(key)
      : this.#searchByBytes(key);
  }

  /** Compares four bytes as a number, and the rest only if these are equal. */
  #searchByHead(key: Uint8Array): number {
    const bytes = this.#bytes;
    const base = this.#base;
    const stride = this.#entryBytes;
    const head = getU32BigEndian(key, 0);
    const tail = key.length >= 8 ? getU32BigEndian(key, 4) : 0;
    let low = 0;
    let high = this.count - 1;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      const at = base + middle * stride;
      let found = getU32BigEndian(bytes, at);
      let wanted = head;
      if (found === wanted && key.length >= 8) {
        found = getU32BigEndian(bytes, at + 4);
        wanted = tail;
      }
      if (found < wanted) low = middle + 1;
      else if (found > wanted) high = middle - 1;
      else {
        const order = key.length === 8 ? 0 : this.#compare(middle, key);
        if (order === 0) return middle;
        if (order < 0) low = middle + 1;
        else high = middle - 1;
      }
    }
    return ~low;
  }

  #searchByBytes(key: Uint8Array): number {
    let low = 0;
    let high = this.count - 1;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      const order = this.#compare(middle, key);
      if (order === 0) return middle;
      if (order < 0) low = middle + 1;
      else high = middle - 1;
    }
    return ~low;
  }

  /** Below 0 if the entry's key comes before `key`. */
  #compare(index: number, key: Uint8Array): number {
    const from = this.offset(index);
    const shared = Math.min(this.#keyBytes, key.length);
    for (let byte = 0; byte < shared; byte++) {
      const difference = (this.#bytes[from + byte] as number) - (key[byte] as number);
      if (difference !== 0) return difference;
    }
    return this.#keyBytes - key.length;
  }

  insert(index: number, key: Uint8Array, value: Uint8Array, _word: number): void {
    assert(index >= 0 && index <= this.count, 'an entry is inserted among the others');
    assert(key.length + value.length === this.#entryBytes, 'all entries have one length');
    const end = this.offset(this.count);
    if (end + this.#entryBytes > this.#bytes.length) this.#makeRoom();
    const at = this.offset(index);
    if (index < this.count) {
      this.#bytes.copyWithin(at + this.#entryBytes, at, this.offset(this.count));
    }
    copyBytes(key, this.#bytes, at);
    copyBytes(value, this.#bytes, at + this.#keyBytes);
    this.count += 1;
  }

  #makeRoom(): void {
    const bytes = this.#memory.take(Math.max(roomMin, this.count * 2) * this.#entryBytes);
    bytes.set(this.#bytes.subarray(this.#base, this.offset(this.count)));
    this.#setBytes(bytes);
  }

  #setBytes(bytes: Uint8Array): void {
    if (this.#isOwn) this.#memory.give(this.#bytes);
    this.#bytes = bytes;
    this.#base = 0;
    this.#isOwn = true;
  }

  replace(index: number, value: Uint8Array, _word: number): void {
    assert(value.length === this.#entryBytes - this.#keyBytes, 'all values have one length');
    copyBytes(value, this.#bytes, this.valueOffset(index));
  }

  remove(from: number, to = from + 1): void {
    assert(from <= to && to <= this.count, 'removed entries are there');
    this.#bytes.copyWithin(this.offset(from), this.offset(to), this.offset(this.count));
    this.count -= to - from;
  }

  slice(from = 0, to = this.count): FixedEntries {
    return this.#copy(from, to, to - from + roomMin);
  }

  #copy(from: number, to: number, room: number): FixedEntries {
    assert(from <= to && to <= this.count, 'copied entries are there');
    const copy = this.#empty();
    copy.#setBytes(this.#memory.take(room * this.#entryBytes));
    copy.#bytes.set(this.#bytes.subarray(this.offset(from), this.offset(to)));
    copy.count = to - from;
    return copy;
  }

  #empty(): FixedEntries {
    return new FixedEntries(this.#keyBytes, this.#entryBytes - this.#keyBytes, this.#memory);
  }

  /** Removes all entries and gives their memory back. Requires: no one reads them any more. */
  forget(): void {
    this.#setBytes(none);
    this.count = 0;
  }

  concat(other: FixedEntries): FixedEntries {
    assert(this.#entryBytes === other.#entryBytes, 'all entries have one length');
    const both = this.#copy(0, this.count, this.count + other.count + roomMin);
    both.#bytes.set(other.#bytes.subarray(other.#base, other.offset(other.count)), both.live);
    both.count += other.count;
    return both;
  }

  writeTo(target: Uint8Array, at: number): number {
    target.set(this.#bytes.subarray(this.#base, this.offset(this.count)), at);
    return at + this.live;
  }
}
