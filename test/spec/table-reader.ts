/**
 * Reads structures by the byte tables of `spec/format.md`, and by nothing else.
 *
 * Invariant: every byte of a structure is a byte of one field, and the fields are where the tables
 * say; where they are not, the test that asked fails. What a field means is not its business.
 */

import { readFileSync } from 'node:fs';
import { expect } from 'vitest';
import { countFieldOf, type SpecField, specTables } from '../../scripts/spec-tables.ts';

export const spec: string = readFileSync(new URL('../../spec/format.md', import.meta.url), 'utf8');
export const tables: ReturnType<typeof specTables> = specTables(spec);

/** What a structure says: numbers, bytes as hexadecimal digits, structures within it. */
export interface Read {
  [field: string]: number | string | Read | Read[];
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex');
}

export function uint(bytes: Uint8Array, at: number, size: number): number {
  let value = 0;
  for (let place = size - 1; place >= 0; place--) value = value * 256 + (bytes[at + place] ?? 0);
  return value;
}

/** Reads a structure that is all of `bytes`. */
export function readWhole(table: string, bytes: Uint8Array): Read {
  const { read, end } = new TableReader(bytes).read(table, 0);
  expect(end, `end of ${table}`).toBe(bytes.length);
  return read;
}

/** Reads a structure that begins at `at`, up to the field `before`. */
export function readPart(table: string, bytes: Uint8Array, at: number, before?: string): Read {
  return new TableReader(bytes).read(table, at, before).read;
}

class TableReader {
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  read(name: string, at: number, before?: string): { read: Read; end: number } {
    const table = tables.get(name);
    if (table === undefined) throw new Error(`the spec has no table '${name}'`);
    const read: Read = {};
    let end = at;
    for (const field of table.fields) {
      if (field.name === before) break;
      if (field.offset !== undefined) expect(end - at, `${name}: ${field.name}`).toBe(field.offset);
      if (field.each) {
        const list = this.#list(field, end, Number(read[countFieldOf(field.name)]));
        read[field.name] = list.read;
        end = list.end;
      } else end = this.#field(field, { at, end, read });
    }
    return { read, end };
  }

  #list(field: SpecField, from: number, count: number): { read: Read[]; end: number } {
    const read: Read[] = [];
    let end = from;
    for (let left = count; left > 0; left--) {
      const entry = this.read(field.type.toLowerCase(), end);
      if (field.size !== undefined) expect(entry.end - end, field.name).toBe(field.size);
      read.push(entry.read);
      end = entry.end;
    }
    return { read, end };
  }

  #field(field: SpecField, { at, end, read }: { at: number; end: number; read: Read }): number {
    const nested = field.type.toLowerCase();
    if (tables.has(nested)) {
      const inner = this.read(nested, end);
      expect(inner.end - end, field.name).toBe(field.size);
      read[field.name] = inner.read;
      return inner.end;
    }
    let size = field.size ?? 0;
    if (field.until !== undefined) size = at + field.until - end;
    if (field.sizeField !== undefined) size = Number(read[field.sizeField]);
    const part = this.#bytes.subarray(end, end + size);
    expect(part.length, `bytes of ${field.name}`).toBe(size);
    if (field.type === 'zeros') expect(hex(part), field.name).toBe('00'.repeat(size));
    else if (field.type === 'bytes') read[field.name] = hex(part);
    else {
      expect(field.type, field.name).toBe(`u${size * 8}`);
      read[field.name] = uint(part, 0, size);
    }
    return end + size;
  }
}
