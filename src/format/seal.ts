/**
 * The seal: 32 bytes at the start of every page and document, with its kind, file, place and
 * generation. Layout: `spec/format.md`, "Seals".
 *
 * Invariant: `openSealed` accepts only the exact bytes that the parent named. Every structure but
 * the file header is named by its parent, with slot, generation and CRC; the content of the other
 * slot does not matter. Pure.
 */

import { corrupt } from '../errors.ts';
import { assert } from '../util/assert.ts';
import { crc32 } from '../util/crc.ts';
import { getU32, getU48, setU32, setU48 } from '../util/little-endian.ts';
import { pageBytes, sealBytes } from './layout.ts';

/** The content of a seal besides its CRC. */
export interface Seal {
  readonly kind: number;
  readonly generation: number;
  /** Sealed bytes, including the seal. */
  readonly length: number;
  /** The structure holds every batch up to this one. */
  readonly stamp: number;
  /** First page of the structure in the file. */
  readonly page: number;
}

/** The name of a structure in its parent. */
export interface SealName {
  readonly kind: number;
  readonly generation: number;
  readonly crc: number;
  readonly page: number;
}

/** Low half of the file's salt. */
function saltOf(salt: Uint8Array): number {
  return getU32(salt, 0);
}

/** Fills in the seal at the start of `bytes` and returns its CRC. */
export function sealBytesOf(bytes: Uint8Array, seal: Seal, salt: Uint8Array): number {
  assert(seal.length <= bytes.length && seal.length >= sealBytes, 'a seal covers its bytes');
  setU32(bytes, 0, seal.kind);
  setU32(bytes, 8, seal.generation);
  setU32(bytes, 12, seal.length);
  setU48(bytes, 16, seal.stamp);
  setU48(bytes, 22, seal.page);
  setU32(bytes, 28, saltOf(salt));
  const crc = crc32(bytes.subarray(8, seal.length));
  setU32(bytes, 4, crc);
  return crc;
}

/** The seal of `bytes` if it is whole and of this file and place; otherwise the reason. */
export function readSeal(
  bytes: Uint8Array,
  at: { kind: number; page: number },
  salt: Uint8Array,
): { seal: Seal; crc: number } | string {
  if (bytes.length < sealBytes) return 'is cut short';
  const seal: Seal = {
    kind: getU32(bytes, 0),
    generation: getU32(bytes, 8),
    length: getU32(bytes, 12),
    stamp: getU48(bytes, 16),
    page: getU48(bytes, 22),
  };
  if (seal.kind !== at.kind) return 'is not of its kind';
  if (seal.length < sealBytes || seal.length > bytes.length) return 'has an impossible length';
  if (seal.page !== at.page) return 'belongs to another place';
  if (getU32(bytes, 28) !== saltOf(salt)) return 'belongs to another file';
  const crc = crc32(bytes.subarray(8, seal.length));
  if (crc !== getU32(bytes, 4)) return 'fails its checksum';
  return { seal, crc };
}

/** The seal of the structure that `name` names. Throws `VARVE_CORRUPT` for any other bytes. */
export function openSealed(bytes: Uint8Array, name: SealName, salt: Uint8Array): Seal {
  const offset = name.page * pageBytes;
  const found = readSeal(bytes, name, salt);
  const what = kindName(name.kind);
  if (typeof found === 'string') throw corrupt(`${what} ${found}`, { offset });
  if (found.seal.generation !== name.generation || found.crc !== name.crc) {
    throw corrupt(`${what} is not the one that its parent names`, {
      offset,
      expected: `generation ${name.generation}, checksum ${name.crc}`,
      actual: `generation ${found.seal.generation}, checksum ${found.crc}`,
    });
  }
  return found.seal;
}

/** Four letters of a kind, for messages. */
export function kindName(kind: number): string {
  const letters = [0, 8, 16, 24].map((shift) => String.fromCharCode((kind >>> shift) & 0xff));
  return `the structure '${letters.join('').trim()}'`;
}
