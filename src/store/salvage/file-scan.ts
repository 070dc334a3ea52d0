/**
 * One pass over a damaged file: finds every sound structure, and every first sector of a record of
 * the commit log, wherever they are.
 *
 * Invariants:
 * - It relies on no header and on no structure that names another one. A structure is found at the
 *   start of a page that its seal names, a record in a sector that it names.
 * - Structures of several lives of the file are kept apart, by salt. One life is chosen: that of
 *   the header if one is sound, else the one with the most structures and records.
 * - The file goes through the memory of one piece.
 */

import { VarveError } from '../../errors.ts';
import { decodeFileHeader, type FileHeader } from '../../format/file-header.ts';
import {
  headerCopies,
  kindBasin,
  kindMap,
  kindMarks,
  kindRoot,
  pageBytes,
  saltBytes,
  sealBytes,
  sectorBytes,
  sectorsPerPage,
} from '../../format/layout.ts';
import { decodeLogSector, decodeRecordHead } from '../../format/log-sector.ts';
import { readSeal } from '../../format/seal.ts';
import { getU16, getU32, getU48, setU32 } from '../../util/little-endian.ts';
import type { RunningOperation } from '../../util/operations/running-operation.ts';
import { type DamagedFile, unlessCorrupt } from './damaged-file.ts';
import { FoundRecords } from './found-records.ts';
import { FoundStructures } from './found-structures.ts';

/** Bytes read at a time. */
const pieceBounds = { min: 64 * 1024, max: 1024 * 1024 };
/** Longest document that is read into memory: a basin of some 16 million maps. */
const documentBytesMax = 2 ** 29;
const documentKinds: ReadonlySet<number> = new Set([kindRoot, kindBasin]);
const pageKinds: ReadonlySet<number> = new Set([kindMap, kindMarks]);

/** Everything that was found of the chosen life of the file. */
export interface Remains {
  /** The sound copy of the file header with the highest generation. */
  readonly header: FileHeader | undefined;
  readonly structures: FoundStructures;
  readonly records: FoundRecords;
  /** The first four bytes of its salt; enough for seals. */
  readonly salt: Uint8Array;
}

interface Life {
  readonly structures: FoundStructures;
  readonly records: FoundRecords;
}

/** Rejects with `VARVE_NOT_A_STORE`, `VARVE_UNSUPPORTED_VERSION`, and if it is stopped. */
export async function scanFile(
  file: DamagedFile,
  path: string,
  operation: RunningOperation,
): Promise<Remains> {
  const scan = new Scan(file, operation);
  const header = await readHeaders(file, path);
  await scan.run();
  return scan.choose(header, path);
}

async function readHeaders(file: DamagedFile, path: string): Promise<FileHeader | undefined> {
  let newest: FileHeader | undefined;
  for (let copy = 0; copy < headerCopies; copy++) {
    const sector = new Uint8Array(sectorBytes);
    await file.fill(sector, copy * pageBytes);
    const found = unlessCorrupt(() => decodeFileHeader(sector, copy * pageBytes));
    if (found?.state === 'unsupported') {
      const message = `'${path}' has format version ${found.version}, flags ${found.flags}`;
      const words = `${message}: salvage it with the version of varve that wrote it`;
      throw new VarveError('VARVE_UNSUPPORTED_VERSION', words, { path, actual: found.version });
    }
    if (found?.state !== 'valid') continue;
    if (newest === undefined || found.header.generation > newest.generation) newest = found.header;
  }
  return newest;
}

class Scan {
  readonly #file: DamagedFile;
  readonly #operation: RunningOperation;
  readonly #lives = new Map<number, Life>();

  constructor(file: DamagedFile, operation: RunningOperation) {
    this.#file = file;
    this.#operation = operation;
  }

  async run(): Promise<void> {
    const total = this.#file.length;
    const piece = new Uint8Array(this.#operation.pieceBytes(pieceBounds) & -pageBytes);
    for (let offset = 0; offset < total; offset += piece.length) {
      this.#operation.report({ phase: 'scan', done: offset, total, unit: 'bytes' });
      const bytes = piece.subarray(0, Math.min(piece.length, total - offset));
      await this.#operation.spend(bytes.length);
      await this.#file.fill(bytes, offset);
      for (let at = 0; at < bytes.length; at += pageBytes) {
        await this.#operation.breathe();
        const page = (offset + at) / pageBytes;
        await this.#lookAt(bytes.subarray(at), page);
      }
    }
  }

  /** `bytes`: from the page on to the end of the piece. */
  async #lookAt(bytes: Uint8Array, page: number): Promise<void> {
    if (bytes.length >= sealBytes && getU48(bytes, 22) === page) {
      const kind = getU32(bytes, 0);
      if (pageKinds.has(kind)) this.#lookAtPage(bytes.subarray(0, pageBytes), kind, page);
      else if (documentKinds.has(kind)) await this.#lookAtDocument(bytes, kind, page);
    }
    for (let at = 0; at < sectorsPerPage; at++) {
      const sector = bytes.subarray(at * sectorBytes, (at + 1) * sectorBytes);
      const number = page * sectorsPerPage + at;
      if (sector.length === sectorBytes && getU48(sector, 24) === number) {
        this.#lookAtSector(sector, number);
      }
    }
  }

  #lookAtPage(bytes: Uint8Array, kind: number, page: number): void {
    if (bytes.length < pageBytes || getU32(bytes, 12) !== pageBytes) return;
    const salt = saltOf(bytes);
    const found = readSeal(bytes, { kind, page }, salt);
    if (typeof found === 'string') return;
    const { structures } = this.#life(getU32(salt, 0));
    unlessCorrupt(() => structures.addPage(bytes, found, salt));
  }

  async #lookAtDocument(start: Uint8Array, kind: number, page: number): Promise<void> {
    const length = getU32(start, 12);
    const left = this.#file.length - page * pageBytes;
    if (length < sealBytes || length > Math.min(left, documentBytesMax)) return;
    let bytes = start;
    if (length > start.length) {
      bytes = new Uint8Array(length);
      await this.#file.fill(bytes, page * pageBytes);
    }
    const salt = saltOf(bytes);
    const found = readSeal(bytes, { kind, page }, salt);
    if (typeof found === 'string') return;
    this.#life(getU32(salt, 0)).structures.addDocument(found);
  }

  #lookAtSector(bytes: Uint8Array, number: number): void {
    if (getU16(bytes, 22) !== 0) return;
    const salt = bytes.slice(4, 4 + saltBytes);
    const sector = decodeLogSector(bytes, number, salt);
    if (typeof sector === 'string' || decodeRecordHead(sector.payload) === undefined) return;
    const { batch, epoch } = sector;
    this.#life(getU32(salt, 0)).records.add({ sector: number, batch, epoch }, salt);
  }

  #life(saltStart: number): Life {
    let life = this.#lives.get(saltStart);
    if (life === undefined) {
      life = { structures: new FoundStructures(saltStart), records: new FoundRecords() };
      this.#lives.set(saltStart, life);
    }
    return life;
  }

  choose(header: FileHeader | undefined, path: string): Remains {
    if (header !== undefined) {
      return { header, ...this.#life(getU32(header.salt, 0)), salt: header.salt };
    }
    let chosen: Life | undefined;
    for (const life of this.#lives.values()) {
      if (weightOf(life) === 0) continue;
      if (chosen === undefined || weightOf(life) > weightOf(chosen)) chosen = life;
    }
    if (chosen !== undefined) {
      const salt = new Uint8Array(saltBytes);
      setU32(salt, 0, chosen.structures.saltStart);
      return { header, ...chosen, salt };
    }
    const message = `nothing of a varve store was found in '${path}'`;
    throw new VarveError('VARVE_NOT_A_STORE', message, { path });
  }
}

function weightOf({ structures, records }: Life): number {
  return structures.count + records.size;
}

/** The salt that a seal names; only its first four bytes are known. */
function saltOf(bytes: Uint8Array): Uint8Array {
  const salt = new Uint8Array(saltBytes);
  salt.set(bytes.subarray(28, 32));
  return salt;
}
