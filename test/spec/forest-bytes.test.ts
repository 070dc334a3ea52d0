/**
 * What `spec/forest.md` says of bytes is what the code writes: the example, the codecs, the
 * reducers, and what the vaults seal.
 *
 * Invariant: sealed bytes are read here with the platform's own cipher and by the offsets that the
 * spec gives, not with the code that made them.
 */

import { createDecipheriv } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { inflateRawSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { specWithForest } from '../../scripts/forest-dump.ts';
import { type Codec, codecs, Forest, reducers } from '../../src/forest/index.ts';
import type { GrainId } from '../../src/index.ts';
import { aesGcm, compressed } from '../../src/vault/index.ts';

const spec = readFileSync(new URL('../../spec/forest.md', import.meta.url), 'utf8');
const key = new Uint8Array(32).fill(5);

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(' ');
}

it('the dump in the spec is that of the forest as the code writes it (else: npm run spec)', async () => {
  expect(spec).toBe(await specWithForest(spec));
});

interface Row {
  readonly name: string;
  readonly bytes: string;
  readonly example: unknown;
  readonly stored: string;
}

/** The rows of the table of codecs. */
function codecRows(): Row[] {
  const from = spec.indexOf('<!-- codecs: begin -->');
  const table = spec.slice(from, spec.indexOf('<!-- codecs: end -->'));
  return Array.from(table.matchAll(/^\| `.*$/gm), ([line]) => {
    const [, name = '', bytes = '', , example = '', stored = ''] = line
      .split(' | ')
      .flatMap((cell) => {
        const text = cell.replace(/^\| | \|$/g, '').replaceAll('`', '');
        return cell.startsWith('| ') ? ['', text] : [text];
      });
    return { name, bytes, example: JSON.parse(example) as unknown, stored };
  });
}

describe('the table of codecs', () => {
  const known: Record<string, { codec: unknown; of?: (example: never) => unknown }> = {
    bytes: { codec: codecs.bytes, of: (example: number[]) => Uint8Array.from(example) },
    utf8: { codec: codecs.utf8 },
    u32: { codec: codecs.u32 },
    uint: { codec: codecs.uint },
    u64: { codec: codecs.u64, of: BigInt },
    i64: { codec: codecs.i64, of: BigInt },
    f64: { codec: codecs.f64 },
    'tuple(utf8,u32)': { codec: codecs.tuple(codecs.utf8, codecs.u32) },
    'tuple(u32,utf8)': { codec: codecs.tuple(codecs.u32, codecs.utf8) },
    json: { codec: codecs.json() },
  };

  it('has every codec that there is', () => {
    const names = new Set(codecRows().map(({ name }) => name.replace(/\(.*/, '')));
    expect([...names].sort()).toEqual(Object.keys(codecs).sort());
  });

  it.each(codecRows())('holds for $name: $stored', ({ name, bytes, example, stored }) => {
    const { codec: any, of } = known[name] as (typeof known)[string];
    const codec = any as Codec<unknown>;
    const value = of === undefined ? example : of(example as never);
    expect(codec.name).toBe(name);
    expect(hex(codec.encode(value))).toBe(stored);
    expect(codec.decode(codec.encode(value))).toEqual(value);
    if (/^\d+$/.test(bytes)) expect(codec.byteLength).toBe(Number(bytes));
    else expect(codec.byteLength).toBe(undefined);
  });

  it('says that a tuple of fixed parts is fixed, and that tuples may be nested', () => {
    const inner = codecs.tuple(codecs.u32, codecs.u32);
    const outer = codecs.tuple(inner, codecs.utf8);
    expect(outer.name).toBe('tuple(tuple(u32,u32),utf8)');
    expect(inner.byteLength).toBe(8);
    expect(hex(outer.encode([[1, 2], 'a']))).toBe('00 00 00 01 00 00 00 02 61');
  });
});

it('reducers are little-endian doubles, one for each bucket of a histogram', () => {
  const double = '00 00 00 00 00 00 f8 3f';
  const number = (): number => 1;
  for (const reducer of [reducers.sum(number), reducers.min(number), reducers.max(number)]) {
    expect(hex(reducer.encode(1.5))).toBe(double);
  }
  expect(reducers.count().name).toBe('count');
  const histogram = reducers.histogram(number, [10, 20]);
  expect(histogram.name).toBe('histogram(10,20)');
  expect(hex(histogram.encode([0, 1.5, 0]))).toBe(
    [hex(new Uint8Array(8)), double, hex(new Uint8Array(8))].join(' '),
  );
});

/** Opens what the spec calls aes-256-gcm. */
function opened(sealed: Uint8Array, context: Uint8Array): Uint8Array {
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, 12));
  decipher.setAuthTag(sealed.subarray(12, 28));
  decipher.setAAD(context);
  const plain = decipher.update(sealed.subarray(28));
  decipher.final();
  return new Uint8Array(plain);
}

function context(kind: number, number: bigint): Uint8Array {
  const bytes = Buffer.alloc(9);
  bytes[0] = kind;
  bytes.writeBigUInt64LE(number, 1);
  return bytes;
}

describe('sealed bytes', () => {
  const told = context(1, 77n);
  const plain = new Uint8Array(100).fill(3);

  it('of aesGcm are a nonce, a tag and the ciphertext', () => {
    const vault = aesGcm({ key });
    expect(vault.name).toBe('aes-256-gcm');
    expect(opened(vault.seal(plain, told), told)).toEqual(plain);
    expect(() => opened(vault.seal(plain, told), context(2, 77n))).toThrow();
  });

  it('of compressed are raw deflate, or the bytes, behind a byte that says which', () => {
    const vault = compressed();
    expect(vault.name).toBe('deflate');
    const sealed = vault.seal(plain, told);
    expect(sealed[0]).toBe(1);
    expect(new Uint8Array(inflateRawSync(sealed.subarray(1)))).toEqual(plain);
    expect(hex(vault.seal(Uint8Array.of(7, 8), told))).toBe('00 07 08');
  });

  it('of aesGcm around compressed are those of compressed, encrypted', () => {
    const vault = aesGcm({ key, inner: compressed() });
    expect(vault.name).toBe('aes-256-gcm(deflate)');
    const inner = opened(vault.seal(plain, told), told);
    expect(inner[0]).toBe(1);
    expect(new Uint8Array(inflateRawSync(inner.subarray(1)))).toEqual(plain);
  });

  it.each([
    ['of known length', aesGcm({ key }), 44, 0],
    ['of unknown length', aesGcm({ key, inner: compressed() }), 64, 1],
  ])(
    'of a pushed value with a tag %s have the layout of the spec',
    async (_name, vault, room, head) => {
      const forest = await Forest.inMemory({ vault });
      const text = Buffer.from('a value of the user');
      const id = await forest.transaction((tx) => tx.push(text));
      const stored = Buffer.from(forest.store.get(id) as Uint8Array);
      expect(hex(stored.subarray(0, 4))).toBe('ff 70 76 01');
      expect(stored.readUInt16LE(12)).toBe(room);
      const tagBytes = stored.readUInt16LE(14);
      const tagContext = context(4, stored.readBigUInt64LE(4));
      const tag = Buffer.from(opened(stored.subarray(16, 16 + tagBytes), tagContext)).subarray(
        head,
      );
      expect(tag.readBigUInt64LE(0)).toBe(id);
      expect(tag.length).toBe(16);
      expect(stored.subarray(16 + tagBytes, 16 + room).every((byte) => byte === 0)).toBe(true);
      const body = opened(stored.subarray(16 + room), context(3, tag.readBigUInt64LE(8)));
      expect(Buffer.from(body).subarray(head)).toEqual(text);
      await forest.close();
    },
  );

  it('of a root lie behind the name of the vault and its number', async () => {
    const forest = await Forest.inMemory({ vault: aesGcm({ key }), journalBytes: 0 });
    await forest.tree('t').put(new Uint8Array(1), new Uint8Array(1));
    const id = forest.store.embeddedHeader as GrainId;
    const stored = Buffer.from(forest.store.get(id) as Uint8Array);
    expect(stored.subarray(0, 14).toString('latin1')).toBe('varve forest\n\x04');
    expect(stored[14]).toBe(11);
    expect(stored.subarray(15, 26).toString()).toBe('aes-256-gcm');
    let number = 0n;
    let at = 26;
    for (let shift = 0n, more = true; more; shift += 7n, at++) {
      const byte = stored[at] as number;
      number |= BigInt(byte & 0x7f) << shift;
      more = byte >= 0x80;
    }
    const body = opened(stored.subarray(at), context(0, number));
    // One tree in the catalog, without long values.
    expect(hex(body.subarray(0, 2))).toBe('01 00');
    await forest.close();
  });
});
