/**
 * Entries sorted by key, in one piece of memory: the entries of a leaf or the separators of a
 * branch.
 *
 * Invariants:
 * - Keys rise strictly by unsigned comparison; `live` is the sum of the bytes of keys and values.
 * - Each entry has a slot of four numbers: head, offset in the heap, bytes of the key, value word.
 *   The head is the four key bytes after the common prefix: most comparisons need only this number.
 *
 * It knows nothing of nodes, of their stored form, nor of a value word beyond its length.
 */

import { assert } from '../../util/assert.ts';
import { getU32BigEndian } from '../../util/big-endian.ts';
import { copyBytes, copyRun } from '../../util/bytes.ts';
import type { NodeMemory } from './node-memory.ts';

/** Head, offset in the heap, bytes of the key, value word. */
const stride = 4;
const slotBytes = stride * 4;
const noSlots = new Uint32Array(0);
const noBytes = new Uint8Array(0);

/** Spare room for later entries. */
const spareSlots = 8;
const spareHeap = 256;

export class SortedEntries {
  count = 0;
  /** Bytes of keys and values. */
  live = 0;
  #slots: Uint32Array = noSlots;
  #heap: Uint8Array = noBytes;
  /** The heap comes from `NodeMemory`; otherwise the store returned it. */
  #isOwn = false;
  readonly #memory: NodeMemory;
  /** Used bytes of the heap, also those of removed entries. */
  #used = 0;
  /** Length of a prefix that all keys share. */
  #skip = 0;

  constructor(memory: NodeMemory) {
    this.#memory = memory;
  }

  /** Takes over `bytes`; call `add` for each entry in them. */
  static over(bytes: Uint8Array, count: number, memory: NodeMemory): SortedEntries {
    const made = new SortedEntries(memory);
    made.#slots = made.#takeSlots(count);
    made.#heap = bytes;
    return made;
  }

  /** Makes empty entries with room for `count` slots and `heapBytes` bytes. */
  #empty(count: number, heapBytes: number): SortedEntries {
    const made = new SortedEntries(this.#memory);
    made.#slots = made.#takeSlots(count);
    made.#heap = this.#memory.take(heapBytes);
    made.#isOwn = true;
    return made;
  }

  #takeSlots(count: number): Uint32Array {
    const { buffer } = this.#memory.take(count * slotBytes);
    return new Uint32Array(buffer);
  }

  #giveSlots(): void {
    this.#memory.give(new Uint8Array(this.#slots.buffer));
    this.#slots = noSlots;
  }

  #setHeap(heap: Uint8Array): void {
    if (this.#isOwn) this.#memory.give(this.#heap);
    this.#heap = heap;
    this.#isOwn = true;
  }

  /** Removes all entries and gives their memory back. Requires: no one reads them any more. */
  forget(): void {
    this.#giveSlots();
    this.#setHeap(noBytes);
    this.#used = 0;
    this.count = 0;
    this.live = 0;
  }

  /** Adds the entry at `offset` of the bytes taken over. Call `sealHeads` after the last one. */
  add(offset: number, keyBytes: number, word: number): void {
    const slot = this.count * stride;
    this.#slots[slot + 1] = offset;
    this.#slots[slot + 2] = keyBytes;
    this.#slots[slot + 3] = word;
    this.count += 1;
    this.live += keyBytes + (word >>> 1);
    this.#used = offset + keyBytes + (word >>> 1);
  }

  /** Fills in the heads. False if the keys do not rise strictly. */
  sealHeads(): boolean {
    const { count } = this;
    if (count === 0) return true;
    const skip = this.#common(0, count - 1);
    this.#setSkip(skip);
    for (let index = 1; index < count; index++) {
      // Heads say nothing of the bytes before them: a wrong node may lack the common prefix.
      if (this.#common(index - 1, index) < skip) return false;
      if (this.#compareEntries(index - 1, index) >= 0) return false;
    }
    return true;
  }

  get memoryBytes(): number {
    return this.#slots.byteLength + this.#heap.length;
  }

  keyBytes(index: number): number {
    return this.#slots[index * stride + 2] as number;
  }

  word(index: number): number {
    return this.#slots[index * stride + 3] as number;
  }

  /** Bytes of the entry: key and value. */
  entryBytes(index: number): number {
    const slot = index * stride;
    return (this.#slots[slot + 2] as number) + ((this.#slots[slot + 3] as number) >>> 1);
  }

  /** The memory of keys and values. Callers must not change it. */
  get heap(): Uint8Array {
    return this.#heap;
  }

  /** Offset of the key in the heap; its value follows it. */
  offset(index: number): number {
    return this.#slots[index * stride + 1] as number;
  }

  valueOffset(index: number): number {
    const slot = index * stride;
    return (this.#slots[slot + 1] as number) + (this.#slots[slot + 2] as number);
  }

  /** A view of the key: valid until the entries change. */
  key(index: number): Uint8Array {
    const from = this.offset(index);
    return this.#heap.subarray(from, from + this.keyBytes(index));
  }

  /** A view of the value: valid until the entries change. */
  value(index: number): Uint8Array {
    const from = this.valueOffset(index);
    return this.#heap.subarray(from, from + (this.word(index) >>> 1));
  }

  /** Index of the key or, if it is missing, `~index` of the first one after it. */
  search(key: Uint8Array): number {
    const slots = this.#slots;
    const heap = this.#heap;
    const skip = this.#skip;
    const { length } = key;
    if (this.count === 0) return ~0;
    const first = slots[1] as number;
    for (let at = 0; at < skip; at++) {
      if (at === length) return ~0;
      const difference = (key[at] as number) - (heap[first + at] as number);
      if (difference !== 0) return difference < 0 ? ~0 : ~this.count;
    }
    const head = headOf(key, skip, length);
    let low = 0;
    let high = this.count - 1;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      const found = slots[middle * stride] as number;
      if (found < head) low = middle + 1;
      else if (found > head) high = middle - 1;
      else {
        const order = this.#compareRest(middle * stride, key);
        if (order === 0) return middle;
        if (order < 0) low = middle + 1;
        else high = middle - 1;
      }
    }
    return ~low;
  }

  /** Below 0 if the entry comes before `key`. Requires: both have the same head. */
  #compareRest(slot: number, key: Uint8Array): number {
    const offset = this.#slots[slot + 1] as number;
    const keyBytes = this.#slots[slot + 2] as number;
    const shared = Math.min(keyBytes, key.length);
    for (let at = this.#skip + 4; at < shared; at++) {
      const difference = (this.#heap[offset + at] as number) - (key[at] as number);
      if (difference !== 0) return difference;
    }
    return keyBytes - key.length;
  }

  #compareEntries(one: number, other: number): number {
    const difference =
      (this.#slots[one * stride] as number) - (this.#slots[other * stride] as number);
    return difference === 0 ? this.#compareRest(one * stride, this.key(other)) : difference;
  }

  /** Length of the prefix that two keys share. */
  #common(one: number, other: number): number {
    const from = this.offset(one);
    const to = this.offset(other);
    const lengthMax = Math.min(this.keyBytes(one), this.keyBytes(other));
    let at = 0;
    while (at < lengthMax && this.#heap[from + at] === this.#heap[to + at]) at += 1;
    return at;
  }

  #setSkip(skip: number): void {
    this.#skip = skip;
    const slots = this.#slots;
    for (let slot = 0; slot < this.count * stride; slot += stride) {
      const offset = slots[slot + 1] as number;
      slots[slot] = headOf(this.#heap, offset + skip, offset + (slots[slot + 2] as number));
    }
  }

  /** Puts a new entry at `index`, where `search` says that it belongs. */
  insert(index: number, key: Uint8Array, value: Uint8Array, word: number): void {
    assert(index >= 0 && index <= this.count, 'an entry is inserted among the others');
    assert(word >>> 1 === value.length, 'a value word has the length of the value');
    const offset = this.#place(key, value);
    const slots = this.#roomForSlot();
    const slot = index * stride;
    slots.copyWithin(slot + stride, slot, this.count * stride);
    slots[slot + 1] = offset;
    slots[slot + 2] = key.length;
    slots[slot + 3] = word;
    this.count += 1;
    this.live += key.length + value.length;
    if (this.count === 1) this.#skip = key.length;
    // One neighbour is enough: it has the common prefix of all others.
    const common = this.count === 1 ? this.#skip : this.#common(index, index === 0 ? 1 : index - 1);
    if (common < this.#skip) this.#setSkip(common);
    else slots[slot] = headOf(key, this.#skip, key.length);
  }

  #roomForSlot(): Uint32Array {
    const needed = (this.count + 1) * stride;
    if (needed <= this.#slots.length) return this.#slots;
    const more = Math.max(spareSlots, this.count >>> 1);
    const slots = this.#takeSlots(this.count + 1 + more);
    slots.set(this.#slots.subarray(0, this.count * stride));
    this.#giveSlots();
    this.#slots = slots;
    return slots;
  }

  /** Copies key and value to the heap; returns where. */
  #place(key: Uint8Array, value: Uint8Array): number {
    const bytes = key.length + value.length;
    if (this.#used + bytes > this.#heap.length) this.#makeRoom(bytes);
    const offset = this.#used;
    copyBytes(key, this.#heap, offset);
    copyBytes(value, this.#heap, offset + key.length);
    this.#used = offset + bytes;
    return offset;
  }

  #makeRoom(bytes: number): void {
    const spare = Math.max(bytes, spareHeap, this.live >>> 1);
    const packed = this.#memory.take(this.live + bytes + spare);
    this.writeTo(packed, 0);
    let used = 0;
    for (let index = 0; index < this.count; index++) {
      this.#slots[index * stride + 1] = used;
      used += this.entryBytes(index);
    }
    this.#setHeap(packed);
    this.#used = used;
  }

  /** Writes keys and values, entry by entry, to `target` at `at`; returns where they end. */
  writeTo(target: Uint8Array, at: number): number {
    const end = this.#copyTo(target, at, 0, this.count);
    assert(end - at === this.live, 'all keys and values are written');
    return end;
  }

  /**
   * Copies the bytes of the entries from `first` on and before `last` to `target` at `at`; returns
   * where they end.
   */
  #copyTo(target: Uint8Array, at: number, first: number, last: number): number {
    const slots = this.#slots;
    const bytes = this.#heap;
    // Adjacent entries are copied together: mostly all but a few.
    let from = 0;
    let end = 0;
    for (let slot = first * stride; slot < last * stride; slot += stride) {
      const offset = slots[slot + 1] as number;
      if (offset !== end) {
        copyRun({ bytes, from, length: end - from }, target, at);
        at += end - from;
        from = offset;
      }
      end = offset + (slots[slot + 2] as number) + ((slots[slot + 3] as number) >>> 1);
    }
    copyRun({ bytes, from, length: end - from }, target, at);
    return at + end - from;
  }

  /** Gives the entry at `index` another value. */
  replace(index: number, value: Uint8Array, word: number): void {
    assert(word >>> 1 === value.length, 'a value word has the length of the value');
    const slot = index * stride;
    const before = (this.#slots[slot + 3] as number) >>> 1;
    if (before === value.length) {
      copyBytes(value, this.#heap, this.valueOffset(index));
    } else {
      // `#place` may replace the heap that the key is read from: copy it.
      const offset = this.#place(this.key(index).slice(), value);
      this.#slots[slot + 1] = offset;
    }
    this.#slots[slot + 3] = word;
    this.live += value.length - before;
  }

  /** Removes the entries from `from` on and before `to`. */
  remove(from: number, to = from + 1): void {
    assert(from <= to && to <= this.count, 'removed entries are there');
    for (let index = from; index < to; index++) this.live -= this.entryBytes(index);
    this.#slots.copyWithin(from * stride, to * stride, this.count * stride);
    this.count -= to - from;
    if (this.count === 0) {
      this.#used = 0;
      this.#skip = 0;
    }
  }

  /** A copy of the entries from `from` on and before `to`, packed, with room for a few more. */
  slice(from = 0, to = this.count): SortedEntries {
    assert(from <= to && to <= this.count, 'copied entries are there');
    let bytes = 0;
    for (let index = from; index < to; index++) bytes += this.entryBytes(index);
    const copy = this.#empty(to - from + spareSlots, bytes + spareHeap);
    copy.#append(this, from, to);
    copy.#skip = this.#skip;
    return copy;
  }

  /** These entries and then those of `other`, whose keys all come after them. */
  concat(other: SortedEntries): SortedEntries {
    const both = this.#empty(
      this.count + other.count + spareSlots,
      this.live + other.live + spareHeap,
    );
    both.#append(this, 0, this.count);
    both.#append(other, 0, other.count);
    if (both.count > 0) both.#setSkip(both.#common(0, both.count - 1));
    return both;
  }

  /**
   * Adds entries of `source`, side by side: as long as few are inserted, a copy or an encoding of
   * all is a few copies of bytes.
   */
  #append(source: SortedEntries, from: number, to: number): void {
    const slots = this.#slots;
    const given = source.#slots;
    let slot = this.count * stride;
    let used = this.#used;
    for (let other = from * stride; other < to * stride; other += stride, slot += stride) {
      const keyBytes = given[other + 2] as number;
      const word = given[other + 3] as number;
      slots[slot] = given[other] as number;
      slots[slot + 1] = used;
      slots[slot + 2] = keyBytes;
      slots[slot + 3] = word;
      used += keyBytes + (word >>> 1);
    }
    assert(
      source.#copyTo(this.#heap, this.#used, from, to) === used,
      'the copied bytes are those of the entries',
    );
    this.live += used - this.#used;
    this.count += to - from;
    this.#used = used;
  }
}

/** Four bytes as a number of the same order; zeros after the end of the key. */
function headOf(bytes: Uint8Array, from: number, end: number): number {
  if (from + 4 <= end) return getU32BigEndian(bytes, from);
  let head = 0;
  for (let at = from; at < from + 4; at++)
    head = head * 256 + (at < end ? (bytes[at] as number) : 0);
  return head;
}
