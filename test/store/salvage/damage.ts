/**
 * Damage for salvages: which pages of a file are structures, log or neither, where values are, and
 * bytes written over them.
 *
 * Invariant: it reads `spec/format.md` alone, and shares no code with the store. It sees every
 * structure and record of the file, current or stale.
 */

import { crc32 } from 'node:zlib';
import type { GrainId } from '../../../src/index.ts';
import type { Random } from '../../support/random.ts';

export const pageBytes = 4096;
const sectorBytes = 512;

export type PageKind = 'header' | 'root' | 'basn' | 'map ' | 'mark' | 'log' | 'other';

/** What each page of the file holds. Documents are their first page and those that follow. */
export function pageKinds(bytes: Uint8Array): PageKind[] {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const kinds: PageKind[] = ['header', 'header'];
  /** Bodies of records outside of the log's segments: page, pages. */
  const bodies: [number, number][] = [];
  for (let page = 2; page < Math.floor(file.length / pageBytes); page++) {
    if (kinds[page] !== undefined) continue;
    const at = page * pageBytes;
    const letters = file.toString('latin1', at, at + 4);
    const isSealed = file.readUIntLE(at + 22, 6) === page && file.readUInt32LE(at + 12) >= 32;
    if (isSealed && /^(?:root|basn|map |mark)$/.test(letters)) {
      const pages = Math.ceil(file.readUInt32LE(at + 12) / pageBytes);
      for (let n = 0; n < pages; n++) kinds[page + n] = letters as PageKind;
      continue;
    }
    let isLog = false;
    for (let sector = at; sector < at + pageBytes; sector += sectorBytes) {
      if (file.readUIntLE(sector + 24, 6) !== sector / sectorBytes) continue;
      isLog = true;
      if (file.readUInt16LE(sector + 22) === 0 && file[sector + 42] === 1) {
        bodies.push([file.readUIntLE(sector + 44, 6), file.readUInt32LE(sector + 50)]);
      }
    }
    kinds[page] = isLog ? 'log' : 'other';
  }
  for (const [page, count] of bodies) {
    for (let n = page; n < page + count; n++) if (kinds[n] === 'other') kinds[n] = 'log';
  }
  return kinds;
}

/** Offsets of everything that looks like the start of the value: its prefix with its checksum. */
export function placesOf(bytes: Uint8Array, id: GrainId, value: Uint8Array): number[] {
  const head = Buffer.alloc(12);
  head.writeBigUInt64LE(id, 0);
  head.writeUInt32LE(value.length, 8);
  const prefix = Buffer.alloc(8);
  prefix.writeUInt32LE(value.length, 0);
  prefix.writeUInt32LE(crc32(value, crc32(head)), 4);
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const places: number[] = [];
  for (let at = file.indexOf(prefix); at >= 0; at = file.indexOf(prefix, at + 1)) {
    if (at % 32 === 0) places.push(at);
  }
  return places;
}

/** The pages that each of these values has a byte in, wherever a copy of it is. */
export function pagesOfValues(
  bytes: Uint8Array,
  values: Iterable<readonly [GrainId, Uint8Array]>,
): Map<GrainId, Set<number>> {
  const pages = new Map<GrainId, Set<number>>();
  for (const [id, value] of values) {
    const ofValue = new Set<number>();
    for (const at of placesOf(bytes, id, value)) {
      const last = Math.floor((at + 8 + value.length - 1) / pageBytes);
      for (let page = Math.floor(at / pageBytes); page <= last; page++) ofValue.add(page);
    }
    pages.set(id, ofValue);
  }
  return pages;
}

/** A copy of the file with other bytes in these pages. */
export function damaged(bytes: Uint8Array, pages: Iterable<number>, random: Random): Uint8Array {
  const copy = bytes.slice();
  for (const page of pages) {
    const target = copy.subarray(page * pageBytes, (page + 1) * pageBytes);
    const kind = random.below(3);
    if (kind === 0) target.fill(0);
    else if (kind === 1) for (let at = 0; at < target.length; at++) target[at] = random.below(256);
    else for (let n = 0; n < 3; n++) flip(target, random);
  }
  return copy;
}

/** Other bits near the start, in a piece, and anywhere. */
function flip(target: Uint8Array, random: Random): void {
  const at = random.below(target.length);
  target.fill(0xa5, at, Math.min(target.length, at + 1 + random.below(64)));
  const start = random.below(64);
  target[start] = (target[start] as number) ^ (1 << random.below(8));
}

/** Zeros over both copies of the file header. */
export function withoutHeaders(bytes: Uint8Array): Uint8Array {
  return bytes.slice().fill(0, 0, 2 * pageBytes);
}

/**
 * Zeros over every sector of the log up to the base, as if other things had used its pages: what is
 * left of it is no part of the store.
 */
export function withoutOldLog(bytes: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(bytes);
  const file = Buffer.from(copy.buffer);
  const newer = file.readUIntLE(24, 6) > file.readUIntLE(pageBytes + 24, 6) ? 0 : pageBytes;
  const base = file.readUIntLE(newer + 36, 6);
  for (let at = 2 * pageBytes; at + sectorBytes <= file.length; at += sectorBytes) {
    const isOfLog = file.readUIntLE(at + 24, 6) === at / sectorBytes;
    if (isOfLog && file.readUIntLE(at + 16, 6) <= base) file.fill(0, at, at + sectorBytes);
  }
  return copy;
}
