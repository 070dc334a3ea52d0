/**
 * The values of a forest without a vault, counted plainly: nodes are decoded by the tables of
 * `spec/forest.md`, and live values are those of the commit log.
 *
 * Invariant: it shares no code with the forest. It reads what is stored: the newest root must log
 * no changes (`journalBytes: 0`), and no checkpoint may drop entries of the log that it has not
 * read.
 */

import { GrainId, type Store } from '../../../src/index.ts';

class Reader {
  readonly #bytes: Uint8Array;
  at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  u8(): number {
    this.at += 1;
    return this.#bytes[this.at - 1] as number;
  }

  varint(): number {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = this.u8();
      value += (byte % 128) * factor;
      if (byte < 128) return value;
    }
  }

  number(bytes: number): bigint {
    let value = 0n;
    for (let byte = 0; byte < bytes; byte++) value += BigInt(this.u8()) << BigInt(8 * byte);
    return value;
  }

  text(): string {
    const length = this.varint();
    this.at += length;
    return Buffer.from(this.#bytes.subarray(this.at - length, this.at)).toString();
  }
}

interface Lengths {
  readonly key: number;
  readonly value: number;
}

/** Everything that one reference reaches: nodes and long values. */
function reach(store: Store, reader: Reader, lengths: Lengths, to: Set<bigint>): void {
  if (reader.varint() === 0) return;
  reader.u8();
  const id = reader.number(8);
  reader.varint();
  node(store, id, lengths, to);
}

function node(store: Store, id: bigint, lengths: Lengths, to: Set<bigint>): void {
  to.add(id);
  const reader = new Reader(store.get(id as GrainId) as Uint8Array);
  const level = reader.u8();
  const hasParts = reader.u8() === 1;
  reader.at += 2;
  const count = Number(reader.number(4));
  if (level === 0) leaf(reader, count, lengths, to);
  else {
    let keys = 0;
    for (let at = 1; at < count; at++) keys += lengths.key < 0 ? reader.varint() : lengths.key;
    reader.at += keys;
    const children: bigint[] = [];
    for (let at = 0; at < count; at++) {
      children.push(reader.number(8));
      reader.varint();
      if (hasParts) reader.text();
    }
    for (const child of children) node(store, child, lengths, to);
  }
}

function leaf(reader: Reader, count: number, lengths: Lengths, to: Set<bigint>): void {
  const keys: number[] = [];
  const words: number[] = [];
  for (let at = 0; at < count; at++) {
    keys.push(lengths.key < 0 ? reader.varint() : lengths.key);
    words.push(lengths.value < 0 ? reader.varint() : lengths.value * 2);
  }
  for (let at = 0; at < count; at++) {
    reader.at += keys[at] as number;
    const end = reader.at + ((words[at] as number) >> 1);
    if ((words[at] as number) % 2 === 1) to.add(reader.number(8));
    reader.at = end;
  }
}

/** The names and values of the catalog's leaves, by the same tables. */
function records(store: Store, ids: ReadonlySet<bigint>): Map<string, Uint8Array> {
  const found = new Map<string, Uint8Array>();
  for (const id of ids) {
    const bytes = store.get(id as GrainId) as Uint8Array;
    const reader = new Reader(bytes);
    if (reader.u8() !== 0) continue;
    reader.at += 3;
    const count = Number(reader.number(4));
    const lengths = Array.from({ length: count }, () => [reader.varint(), reader.varint() >> 1]);
    for (const [key = 0, value = 0] of lengths) {
      const name = Buffer.from(bytes.subarray(reader.at, reader.at + key)).toString();
      found.set(name, bytes.slice(reader.at + key, reader.at + key + value));
      reader.at += key + value;
    }
  }
  return found;
}

export interface PlainCount {
  readonly trees: ReadonlyMap<string, { readonly bytes: number; readonly sharedBytes: number }>;
  readonly pushedBytes: number;
}

export class StoredForest {
  readonly #store: Store;
  /** Grains of each value that is live and not archived. */
  readonly #live = new Map<bigint, number>();
  #readTo = 0;

  constructor(store: Store) {
    this.#store = store;
  }

  /** Reads the commit log on. */
  async follow(): Promise<void> {
    for await (const { batch, changes } of this.#store.commitLog({ after: this.#readTo })) {
      for (const { operation, id, count } of changes) {
        if (operation === 'allocate') this.#live.set(id, count);
        if (operation === 'archive') this.#live.delete(id);
      }
      this.#readTo = batch;
    }
  }

  /** Bytes of these values that are live, or of all. */
  liveBytes(ids: Iterable<bigint> = this.#live.keys()): number {
    const grainBytes = new Map<string, number>();
    for (const one of this.#store.statistics().strata) {
      grainBytes.set(`${one.basin}-${one.stratum}`, one.grainBytes);
    }
    let bytes = 0;
    for (const id of ids) {
      const { basin, stratum } = GrainId.parts(id as GrainId);
      bytes += (this.#live.get(id) ?? 0) * (grainBytes.get(`${basin}-${stratum}`) ?? Number.NaN);
    }
    return bytes;
  }

  /** Counts the forest as the store has it now. Requires: `follow` has been called since. */
  count(): PlainCount {
    const store = this.#store;
    const root = store.embeddedHeader;
    if (root === undefined) return { trees: new Map(), pushedBytes: this.liveBytes() };
    const own = new Set<bigint>([root]);
    const reader = new Reader(store.get(root) as Uint8Array);
    reader.at = 14;
    reader.text();
    reader.varint();
    const catalog = new Set<bigint>();
    reach(store, reader, { key: -1, value: -1 }, catalog);
    reach(store, reader, { key: 8, value: 8 }, own);
    const reached = new Map<string, Set<bigint>>();
    for (const [name, record] of records(store, catalog)) {
      const ids = this.#tree(new Reader(record));
      if (ids !== undefined) reached.set(name, ids);
    }
    const all = new Set([...own, ...catalog]);
    const times = new Map<bigint, number>();
    for (const ids of reached.values()) {
      for (const id of ids) {
        times.set(id, (times.get(id) ?? 0) + 1);
        all.add(id);
      }
    }
    const trees = new Map<string, { bytes: number; sharedBytes: number }>();
    for (const [name, ids] of reached) {
      const [alone, shared] = [true, false].map((one) =>
        this.liveBytes([...ids].filter((id) => (times.get(id) === 1) === one)),
      );
      trees.set(name, { bytes: alone as number, sharedBytes: shared as number });
    }
    return { trees, pushedBytes: this.liveBytes() - this.liveBytes(all) };
  }

  /** What a tree reaches; undefined for the record of a dropped one. */
  #tree(reader: Reader): Set<bigint> | undefined {
    for (let name = 0; name < 3; name++) reader.text();
    const kind = reader.u8();
    if (kind === 3) return undefined;
    const key = reader.varint() - 1;
    const value = reader.varint() - 1;
    reader.varint();
    const ids = new Set<bigint>();
    reach(this.#store, reader, { key, value }, ids);
    const historyKey = key < 0 ? -1 : key + 9;
    if (kind === 1) reach(this.#store, reader, { key: historyKey, value: -1 }, ids);
    return ids;
  }
}
