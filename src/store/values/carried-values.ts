/**
 * The values that only the commit log has so far. Their records carry the bytes, and a settle
 * writes these to their grains before it forgets the records.
 *
 * Invariants:
 * - Readers see the file with these bytes laid over it: whoever reads a value that a record may
 *   carry lays them over.
 * - A value leaves when its bytes are in its grains, synced, or when it is freed. Bytes of a freed
 *   value are not written any more: another value may be in the grains by then.
 *
 * It reads and writes nothing itself.
 */

import { pageBytes } from '../../format/layout.ts';
import { assert } from '../../util/assert.ts';
import { copyRun } from '../../util/bytes.ts';
import type { FileWrite } from '../file/effects.ts';

/** Memory is taken in pieces of this size; values are much shorter. */
const slabBytes = 32 * 1024;

/** Prefix, bytes and padding of one value, at its place in the file. */
export interface CarriedValue {
  readonly offset: number;
  readonly length: number;
  /** The batch whose record carries it. */
  readonly batch: number;
  readonly slab: Uint8Array;
  /** Start of the bytes in `slab`. */
  readonly from: number;
}

/** A write of carried values to their grains. */
export interface HomeWrite extends FileWrite {
  readonly values: readonly CarriedValue[];
}

export class CarriedValues {
  /** By offset in the file, in the order of their batches. */
  readonly #values = new Map<number, CarriedValue>();
  /** The values with bytes in each page of the file. */
  readonly #pages = new Map<number, CarriedValue[]>();
  #slab = new Uint8Array(0);
  #used = 0;
  #end = 0;

  /** No carried value ends after this byte. The file may end before it. */
  get end(): number {
    return this.#end;
  }

  get size(): number {
    return this.#values.size;
  }

  /** Copies the grains of a value of `batch` at byte `offset`: `length` bytes of `bytes`. */
  add(batch: number, offset: number, bytes: Uint8Array): void {
    const { length } = bytes;
    assert(!this.#values.has(offset), 'a carried value is taken in once');
    if (this.#used + length > this.#slab.length) {
      this.#slab = new Uint8Array(Math.max(slabBytes, length));
      this.#used = 0;
    }
    const value = { offset, length, batch, slab: this.#slab, from: this.#used };
    this.#slab.set(bytes, this.#used);
    this.#used += length;
    this.#end = Math.max(this.#end, offset + length);
    this.#values.set(offset, value);
    const last = Math.floor((offset + length - 1) / pageBytes);
    for (let page = Math.floor(offset / pageBytes); page <= last; page++) {
      const others = this.#pages.get(page);
      if (others === undefined) this.#pages.set(page, [value]);
      else others.push(value);
    }
  }

  /** The value at byte `offset` was freed, or is in its grains. */
  remove(offset: number): void {
    const value = this.#values.get(offset);
    if (value !== undefined) this.#removeAll([value]);
  }

  #removeAll(values: readonly CarriedValue[]): void {
    for (const value of values) {
      const now = this.#values.get(value.offset);
      assert(now === undefined || now === value, 'no other value is carried for grains in use');
      this.#values.delete(value.offset);
    }
    let cleaned = -1;
    for (const { offset, length } of values) {
      const last = Math.floor((offset + length - 1) / pageBytes);
      // Values of a write are in the order of their offsets: each page is gone through once.
      for (let page = Math.floor(offset / pageBytes); page <= last; page++) {
        if (page !== cleaned) this.#clean(page);
        cleaned = page;
      }
    }
  }

  /** Leaves out the values of a page that were removed. */
  #clean(page: number): void {
    const rest: CarriedValue[] = [];
    for (const value of this.#pages.get(page) ?? []) {
      if (this.#values.get(value.offset) === value) rest.push(value);
    }
    if (rest.length === 0) this.#pages.delete(page);
    else this.#pages.set(page, rest);
  }

  /** The values with bytes in this range of the file. */
  within(offset: number, length: number): readonly CarriedValue[] {
    if (this.#values.size === 0 || length === 0) return [];
    const first = Math.floor(offset / pageBytes);
    const last = Math.floor((offset + length - 1) / pageBytes);
    if (first === last) return this.#pages.get(first) ?? [];
    if (last - first < this.#pages.size) {
      const found = new Set<CarriedValue>();
      for (let page = first; page <= last; page++) {
        for (const value of this.#pages.get(page) ?? []) found.add(value);
      }
      return [...found];
    }
    return [...this.#values.values()];
  }

  /** Lays the values over `target`, which was read from byte `offset` of the file. */
  overlay(target: Uint8Array, offset: number): void {
    layOver(target, offset, this.within(offset, target.length));
  }

  /** True if the records of batches up to `base` carry values that are not in their grains yet. */
  hasUpTo(base: number): boolean {
    for (const { batch } of this.#values.values()) return batch <= base;
    return false;
  }

  /**
   * Up to `count` writes of the values of batches up to `base` to their grains; adjoining values
   * are one write. Requires: a call of `wentHome` for each that a sync covers, before any batch of
   * that sync is published.
   */
  writesUpTo(base: number, count: number): HomeWrite[] {
    const due: CarriedValue[] = [];
    for (const value of this.#values.values()) {
      if (value.batch > base) break;
      due.push(value);
    }
    due.sort((one, other) => one.offset - other.offset);
    const runs: CarriedValue[][] = [];
    let end = -1;
    for (const value of due) {
      const run = value.offset === end ? runs.at(-1) : undefined;
      if (run !== undefined) run.push(value);
      else if (runs.push([value]) > count) break;
      end = value.offset + value.length;
    }
    return runs.slice(0, count).map(writeOf);
  }

  /** A write of `writesUpTo` is synced: its values are in their grains. */
  wentHome({ values }: HomeWrite): void {
    this.#removeAll(values);
  }
}

function writeOf(values: readonly CarriedValue[]): HomeWrite {
  const offset = values[0]?.offset ?? 0;
  let length = 0;
  for (const value of values) length += value.length;
  const bytes = new Uint8Array(length);
  layOver(bytes, offset, values);
  return { offset, chunks: [bytes], values };
}

/** Lays values over `target`, which was read from byte `offset` of the file. */
export function layOver(target: Uint8Array, offset: number, values: readonly CarriedValue[]): void {
  for (const value of values) {
    const from = Math.max(offset, value.offset);
    const end = Math.min(offset + target.length, value.offset + value.length);
    if (from >= end) continue;
    const run = { bytes: value.slab, from: value.from + from - value.offset, length: end - from };
    copyRun(run, target, from - offset);
  }
}
