/**
 * The bytes of a file with what they mean beside them, line by line, as byte tables say it.
 *
 * Invariant: every byte of a structure that is shown is shown, in order; only rows of one byte are
 * shortened. A list has its length in the field named for one of it (`segments`: `segment count`), a
 * type that is the name of a table is shown by that table.
 */

import { countFieldOf, type SpecField, type SpecTable } from './spec-tables.ts';

const bytesPerLine = 8;
const alikeShown = 16;
const pageSize = 4096;
const sectorSize = 512;

export class AnnotatedBytes {
  readonly bytes: Uint8Array;
  readonly #tables: ReadonlyMap<string, SpecTable>;
  /** The bytes that were not shown yet; zeros in place of those that were. */
  readonly #rest: Uint8Array;
  #lines: string[] = [];

  constructor(bytes: Uint8Array, tables: ReadonlyMap<string, SpecTable>) {
    this.bytes = bytes;
    this.#tables = tables;
    this.#rest = bytes.slice();
  }

  /** Whether all that was not shown is zeros. */
  restIsZero(): boolean {
    return this.#rest.every((byte) => byte === 0);
  }

  /** The lines since the last call, as a block of Markdown. */
  block(): string {
    const block = ['```', ...this.#lines, '```'].join('\n');
    this.#lines = [];
    return block;
  }

  /** Value of a field of the structure that begins at `at`. */
  number(table: string, field: string, at: number): number {
    const { offset, size } = this.#field(table, field);
    return this.uint(at + (offset ?? 0), size ?? 0);
  }

  /** Bytes from the start of a structure to a field. */
  offsetOf(table: string, field: string): number {
    return this.#field(table, field).offset ?? 0;
  }

  #table(name: string): SpecTable {
    const table = this.#tables.get(name);
    if (table === undefined) throw new Error(`the spec has no table '${name}'`);
    return table;
  }

  #field(table: string, name: string): SpecField {
    const field = this.#table(table).fields.find((one) => one.name === name);
    if (field === undefined) throw new Error(`the table '${table}' has no field '${name}'`);
    return field;
  }

  uint(at: number, size: number): number {
    if (at + size > this.bytes.length) throw new Error(`byte ${at} is not in the file`);
    let value = 0;
    for (let place = size - 1; place >= 0; place--)
      value = value * 256 + (this.bytes[at + place] ?? 0);
    return value;
  }

  /** Shows the structure at `at`, up to the field `before`; gives the offset of its end. */
  structure(name: string, at: number, before?: string): number {
    return this.#structure(name, at, { prefix: '', before });
  }

  #structure(
    name: string,
    at: number,
    how: { prefix: string; before?: string | undefined },
  ): number {
    let next = at;
    for (const field of this.#table(name).fields) {
      if (field.name === how.before) break;
      if (field.offset !== undefined && at + field.offset !== next) {
        throw new Error(`the table '${name}' has a gap before '${field.name}'`);
      }
      const count = field.each ? this.#count(name, field.name, at) : 1;
      for (let entry = 0; entry < count; entry++) {
        const label = `${how.prefix}${field.name}${field.each ? ` ${entry}` : ''}`;
        next = this.#entry(name, field, { at, next, label });
      }
    }
    return next;
  }

  #count(table: string, list: string, at: number): number {
    return this.number(table, countFieldOf(list), at);
  }

  #entry(
    table: string,
    field: SpecField,
    { at, next, label }: { at: number; next: number; label: string },
  ): number {
    const nested = field.type.toLowerCase();
    if (this.#tables.has(nested)) return this.#structure(nested, next, { prefix: `${label}: ` });
    let size = field.size ?? 0;
    if (field.until !== undefined) size = at + field.until - next;
    if (field.sizeField !== undefined) size = this.number(table, field.sizeField, at);
    if (size === 0) return next;
    const isNumber = /^u\d+$/.test(field.type);
    this.field(next, size, label, isNumber ? told(field.name, this.uint(next, size)) : undefined);
    return next + size;
  }

  /** Shows `size` bytes with a name and what they say: letters and digits, unless it is given. */
  field(at: number, size: number, name: string, text?: string): void {
    const end = at + size;
    if (end > this.bytes.length) throw new Error(`byte ${end} is not in the file`);
    this.#rest.fill(0, at, end);
    let says = `${name.padEnd(30)} ${text ?? this.#letters(at, Math.min(end, at + bytesPerLine))}`;
    for (let from = at; from < end; ) {
      const alike = this.#alikeFrom(from, end);
      const short = alike >= alikeShown;
      const count = short ? alike : Math.min(bytesPerLine, end - from);
      const hex = short ? `${this.#hex(from, 1)} × ${alike}` : this.#hex(from, count);
      this.#lines.push(`${hexOffset(from)}  ${hex.padEnd(24)} ${says}`.trimEnd());
      from += count;
      const more =
        text === undefined ? this.#letters(from, Math.min(end, from + bytesPerLine)) : '';
      says = more === '' ? '' : `${''.padEnd(30)} ${more}`;
    }
  }

  #hex(at: number, count: number): string {
    return [...this.bytes.subarray(at, at + count)]
      .map((byte) => byte.toString(16).padStart(2, '0'))
      .join(' ');
  }

  /** Bytes from here on that are the same. */
  #alikeFrom(at: number, end: number): number {
    let next = at;
    while (next < end && this.bytes[next] === this.bytes[at]) next += 1;
    return next - at;
  }

  #letters(at: number, end: number): string {
    const letters = [...this.bytes.subarray(at, end)].map((byte) =>
      byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.',
    );
    return letters.every((letter) => letter === '.') ? '' : `"${letters.join('')}"`;
  }
}

export function hexOffset(offset: number): string {
  return offset.toString(16).padStart(8, '0');
}

/** A number as its name wants it told. */
function told(name: string, value: number): string {
  if (name.endsWith('crc')) return `0x${value.toString(16).padStart(8, '0')}`;
  if (name === 'salt start') return `0x${value.toString(16).padStart(8, '0')}`;
  if (name === 'kind') {
    const letters = [0, 8, 16, 24].map((shift) => String.fromCharCode((value >>> shift) & 0xff));
    return `"${letters.join('')}"`;
  }
  if (name === 'committed at') return new Date(value).toISOString();
  if (name === 'page' && value > 0) return `${value}, at ${hexOffset(value * pageSize)}`;
  if (/sector$/.test(name)) return `${value}, at ${hexOffset(value * sectorSize)}`;
  return String(value);
}
