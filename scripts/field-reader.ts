/**
 * Reads the fields of one value of a forest in turn, and keeps a line of text for each: offset,
 * bytes, name, and what they say.
 *
 * Invariant: every byte is read once, in order; `end` throws where bytes are left over.
 */

import { GrainId } from '../src/index.ts';

const bytesPerLine = 13;
const printable = /^[ -~]*$/;

export class FieldReader {
  readonly #bytes: Uint8Array;
  readonly #lines: string[] = [];
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get remaining(): number {
    return this.#bytes.length - this.#at;
  }

  /** All lines. */
  end(): readonly string[] {
    if (this.remaining !== 0) throw new Error(`${this.remaining} bytes are left over`);
    return this.#lines;
  }

  bytes(name: string, count: number): Uint8Array {
    const bytes = this.#bytes.subarray(this.#at, this.#at + count);
    if (bytes.length !== count) throw new Error(`${name}: the value ends early`);
    const text = Buffer.from(bytes).toString('latin1').trimEnd();
    this.#show(name, count, printable.test(text) && count > 0 ? `'${text}'` : '');
    return bytes;
  }

  uint(name: string, count: number): number {
    let value = 0;
    for (let at = count - 1; at >= 0; at--) value = value * 256 + (this.#bytes[this.#at + at] ?? 0);
    this.#show(name, count, String(value));
    return value;
  }

  varint(name: string): number {
    let value = 0;
    let count = 0;
    for (let more = true; more; count++) {
      const byte = this.#bytes[this.#at + count] ?? 0;
      value += (byte & 0x7f) * 2 ** (7 * count);
      more = byte >= 0x80;
    }
    this.#show(name, count, String(value));
    return value;
  }

  /** A length and so much UTF-8. */
  text(name: string): string {
    const bytes = this.varint(`${name}, length`);
    return bytes === 0 ? '' : Buffer.from(this.bytes(name, bytes)).toString();
  }

  id(name: string): GrainId {
    const id = GrainId.from(Buffer.from(this.#bytes).readBigUInt64LE(this.#at));
    this.#show(name, 8, GrainId.format(id));
    return id;
  }

  #show(name: string, count: number, says: string): void {
    for (let shown = 0; shown < count; shown += bytesPerLine) {
      const from = this.#at + shown;
      const part = this.#bytes.subarray(from, this.#at + Math.min(count, shown + bytesPerLine));
      const hex = Array.from(part, (byte) => byte.toString(16).padStart(2, '0')).join(' ');
      const told = shown > 0 ? '' : `${name}${says === '' ? '' : `: ${says}`}`;
      this.#lines.push(
        `${from.toString(16).padStart(2, '0')}  ${hex.padEnd(39)} ${told}`.trimEnd(),
      );
    }
    this.#at += count;
  }
}
