/**
 * The body of a commit log record: all that one batch does, in the order in which its sessions
 * queued.
 *
 * Runs of grains are short: a stratum is named once for many runs, an index is the distance from
 * the end of the last value, and a repeated count and length are left out. An allocation has the
 * CRC of its value, or carries the value's bytes, which go to their grains later. Structures that
 * the batch needs (basin, stratum, grain map) are added before the first value in them. Layout:
 * `spec/format.md`, "Records". Encoding and decoding only.
 */

import { ByteReader, ByteWriter } from '../util/cursor.ts';
import type { GrainIdParts } from './grain-id.ts';
import { type MapPlacement, readFurtherExtents, writeFurtherExtents } from './grain-map.ts';
import { basinsMax, grainIndexLimit, grainsPerValueMax, strataMax } from './layout.ts';
import { valueCrc } from './value.ts';

const opStratum = 0;
const opAllocate = 1;
const opArchive = 2;
const opFree = 3;
const opAddBasin = 4;
const opAddStratum = 5;
const opAddMap = 6;
const opDropMap = 7;
const opMask = 0x07;
/** The value begins at the end of the last one. */
const flagAdjacent = 0x08;
/** Count and length are the same as of the last value. */
const flagAlike = 0x10;
/** The record carries the bytes of the value that it allocates. */
const flagCarried = 0x20;
/** The map is not dropped: others have its values from now on. */
const flagReplaced = 0x08;

const runFlags = flagAdjacent | flagAlike;

/** The run of grains of one value. */
export interface GrainRun extends GrainIdParts {
  readonly count: number;
  /** Bytes of the value. */
  readonly length: number;
}

/** The name of a grain map in its stratum. */
export interface MapName {
  readonly basin: number;
  readonly stratum: number;
  readonly firstIndex: number;
}

export type AddedMap = MapName & MapPlacement;

/** A map whose values others have from now on. */
export interface ReplacedMap extends MapName {
  /** Maps with grains of it, in ascending order, each in one extent that begins with `page`. */
  readonly parts: readonly {
    readonly firstIndex: number;
    readonly grains: number;
    readonly page: number;
  }[];
}

export type LogOperation =
  | ({
      readonly operation: 'allocate';
      readonly crc: number;
      /** The value's bytes, if the record carries them. */
      readonly bytes?: Uint8Array | undefined;
    } & GrainRun)
  | ({ readonly operation: 'archive' } & GrainRun)
  | ({ readonly operation: 'free' } & GrainRun)
  | { readonly operation: 'add-basin'; readonly basin: number }
  | {
      readonly operation: 'add-stratum';
      readonly basin: number;
      readonly stratum: number;
      readonly grainExp: number;
    }
  | ({ readonly operation: 'add-map' } & AddedMap)
  | ({ readonly operation: 'drop-map' } & MapName)
  | ({ readonly operation: 'replace-map' } & ReplacedMap);

/** The fields before the operations of a record. */
export interface RecordPreamble {
  readonly batch: number;
  /** Milliseconds since the epoch, by the writer's clock. */
  readonly committedAt: number;
  /** After this batch. */
  readonly embeddedHeader: bigint;
  readonly checkpoint: number;
  /** Bytes of earlier records that are still retained after it. */
  readonly retainedLogBytes: number;
}

export interface LogRecord extends RecordPreamble {
  readonly operations: readonly LogOperation[];
}

/** Builds the body of one record, operation by operation. */
export class LogRecordWriter {
  readonly #writer: ByteWriter;
  #basin = -1;
  #stratum = -1;
  #next = 0;
  #count = 0;
  #length = 0;

  constructor(preamble: RecordPreamble, capacityBytes?: number) {
    this.#writer = new ByteWriter(capacityBytes);
    this.#begin(preamble);
  }

  /** Begins another record in the same memory: the body of the one before changes. */
  restart(preamble: RecordPreamble): void {
    this.#writer.restart();
    this.#basin = -1;
    this.#stratum = -1;
    this.#next = 0;
    this.#count = 0;
    this.#length = 0;
    this.#begin(preamble);
  }

  #begin(preamble: RecordPreamble): void {
    this.#writer.u48(preamble.batch);
    this.#writer.u48(preamble.committedAt);
    this.#writer.u64(preamble.embeddedHeader);
    this.#writer.u48(preamble.checkpoint);
    this.#writer.u48(preamble.retainedLogBytes);
  }

  /** Bytes of the body so far. */
  get length(): number {
    return this.#writer.length;
  }

  /** Names the stratum of the next values. */
  #enter(basin: number, stratum: number): void {
    if (basin === this.#basin && stratum === this.#stratum) return;
    this.#writer.u8(opStratum);
    this.#writer.u8(basin);
    this.#writer.u8(stratum);
    this.#basin = basin;
    this.#stratum = stratum;
    this.#next = 0;
  }

  #run(op: number, run: GrainRun, flags = 0): void {
    this.#enter(run.basin, run.stratum);
    const adjacent = run.index === this.#next;
    const alike = run.count === this.#count && run.length === this.#length;
    this.#writer.u8(op | flags | (adjacent ? flagAdjacent : 0) | (alike ? flagAlike : 0));
    if (!adjacent) this.#writer.zigzag(run.index - this.#next);
    if (!alike) {
      this.#writer.u8(run.count);
      this.#writer.varint(run.length);
      this.#count = run.count;
      this.#length = run.length;
    }
    this.#next = run.index + run.count;
  }

  allocate(run: GrainRun, crc: number): void {
    this.#run(opAllocate, run);
    this.#writer.u32(crc);
  }

  /** Allocates a value whose bytes the record carries: `run.length` of `bytes`, from `from` on. */
  carry(run: GrainRun, bytes: Uint8Array, from: number): void {
    this.#run(opAllocate, run, flagCarried);
    this.#writer.bytes(bytes.subarray(from, from + run.length));
  }

  archive(run: GrainRun): void {
    this.#run(opArchive, run);
  }

  free(run: GrainRun): void {
    this.#run(opFree, run);
  }

  addBasin(basin: number): void {
    this.#writer.u8(opAddBasin);
    this.#writer.u8(basin);
  }

  addStratum(basin: number, stratum: number, grainExp: number): void {
    this.#writer.u8(opAddStratum);
    this.#writer.u8(basin);
    this.#writer.u8(stratum);
    this.#writer.u8(grainExp);
  }

  addMap(map: AddedMap): void {
    this.#writer.u8(opAddMap);
    this.#writer.u8(map.basin);
    this.#writer.u8(map.stratum);
    this.#writer.u48(map.firstIndex);
    this.#writer.u32(map.grains);
    this.#writer.u48(map.page);
    this.#writer.u8(map.further.length);
    writeFurtherExtents(this.#writer, map.further);
  }

  dropMap(map: MapName): void {
    this.#writer.u8(opDropMap);
    this.#writer.u8(map.basin);
    this.#writer.u8(map.stratum);
    this.#writer.u48(map.firstIndex);
  }

  replaceMap(map: ReplacedMap): void {
    this.#writer.u8(opDropMap | flagReplaced);
    this.#writer.u8(map.basin);
    this.#writer.u8(map.stratum);
    this.#writer.u48(map.firstIndex);
    this.#writer.u16(map.parts.length);
    for (const { firstIndex, grains, page } of map.parts) {
      this.#writer.u48(firstIndex);
      this.#writer.u32(grains);
      this.#writer.u48(page);
    }
  }

  /** The body. Requires: no operation is added later. */
  finish(): Uint8Array<ArrayBuffer> {
    return this.#writer.view();
  }
}

/** Decodes a body. `offset` is its place in the file, for errors. Throws `VARVE_CORRUPT`. */
export function decodeLogRecord(body: Uint8Array, offset: number | undefined): LogRecord {
  const decoder = new LogRecordDecoder(body, offset);
  decoder.decode(Number.POSITIVE_INFINITY);
  return decoder.record;
}

/** Decodes a body some operations at a time: there may be a hundred thousand. */
export class LogRecordDecoder {
  /** Complete when `decode` has returned true. */
  readonly record: LogRecord;
  readonly #operations: LogOperation[] = [];
  readonly #reader: ByteReader;
  readonly #runs: RunReader;

  /** As `decodeLogRecord`. */
  constructor(body: Uint8Array, offset: number | undefined) {
    const reader = new ByteReader(body, 'a commit log record', offset);
    this.#reader = reader;
    this.#runs = new RunReader(reader);
    this.record = {
      batch: reader.u48(),
      committedAt: reader.u48(),
      embeddedHeader: reader.u64(),
      checkpoint: reader.u48(),
      retainedLogBytes: reader.u48(),
      operations: this.#operations,
    };
  }

  /** Decodes up to `count` more operations; true if that was the last. Throws `VARVE_CORRUPT`. */
  decode(count: number): boolean {
    const reader = this.#reader;
    for (let left = count; left > 0 && reader.remaining > 0; left--) {
      const operation = decodeOperation(reader, this.#runs);
      if (operation !== undefined) this.#operations.push(operation);
    }
    return reader.remaining === 0;
  }
}

/** The last run that was read, which the next one refers to. */
class RunReader {
  readonly #reader: ByteReader;
  basin = -1;
  stratum = -1;
  index = 0;
  count = 0;
  length = 0;
  #next = 0;

  constructor(reader: ByteReader) {
    this.#reader = reader;
  }

  enter(basin: number, stratum: number): void {
    this.basin = basin;
    this.stratum = stratum;
    this.#next = 0;
  }

  read(flags: number): this {
    const reader = this.#reader;
    if (this.basin < 0) reader.fail('a value without a stratum');
    const index = this.#next + ((flags & flagAdjacent) === 0 ? reader.zigzag() : 0);
    if ((flags & flagAlike) === 0) {
      this.count = reader.u8();
      this.length = reader.varint();
    }
    const { count } = this;
    if (count < 1 || index < 0 || index + count > grainIndexLimit) {
      reader.fail('an impossible run of grains', `1 to ${grainsPerValueMax} below 2^48`, index);
    }
    this.index = index;
    this.#next = index + count;
    return this;
  }
}

function decodeOperation(reader: ByteReader, runs: RunReader): LogOperation | undefined {
  const code = reader.u8();
  const op = code & opMask;
  const isRun = op === opAllocate || op === opArchive || op === opFree;
  const flags = op === opAllocate ? runFlags | flagCarried : runFlags;
  const known = opMask | (isRun ? flags : op === opDropMap ? flagReplaced : 0);
  if ((code & ~known) !== 0) reader.fail('an unknown operation', known, code);
  switch (op) {
    case opStratum:
      runs.enter(part(reader, basinsMax), part(reader, strataMax));
      return undefined;
    // Field by field: a record may have a hundred thousand values.
    case opAllocate: {
      const { basin, stratum, index, count, length } = runs.read(code);
      const bytes = (code & flagCarried) === 0 ? undefined : reader.bytes(length);
      const crc = bytes === undefined ? reader.u32() : valueCrc(runs, bytes);
      return { operation: 'allocate', basin, stratum, index, count, length, crc, bytes };
    }
    case opArchive: {
      const { basin, stratum, index, count, length } = runs.read(code);
      return { operation: 'archive', basin, stratum, index, count, length };
    }
    case opFree: {
      const { basin, stratum, index, count, length } = runs.read(code);
      return { operation: 'free', basin, stratum, index, count, length };
    }
    case opAddBasin:
      return { operation: 'add-basin', basin: part(reader, basinsMax) };
    default:
      return decodeStructure(reader, code);
  }
}

/** `code`: without flags, except that of a replaced map. */
function decodeStructure(reader: ByteReader, code: number): LogOperation {
  const basin = part(reader, basinsMax);
  const stratum = part(reader, strataMax);
  if (code === opAddStratum) {
    return { operation: 'add-stratum', basin, stratum, grainExp: reader.u8() };
  }
  const firstIndex = reader.u48();
  if (code === opDropMap) return { operation: 'drop-map', basin, stratum, firstIndex };
  if (code === (opDropMap | flagReplaced)) {
    const parts = reader.list(reader.u16(), () => {
      return { firstIndex: reader.u48(), grains: reader.u32(), page: reader.u48() };
    });
    return { operation: 'replace-map', basin, stratum, firstIndex, parts };
  }
  const grains = reader.u32();
  const page = reader.u48();
  const further = readFurtherExtents(reader, reader.u8());
  return { operation: 'add-map', basin, stratum, firstIndex, grains, page, further };
}

function part(reader: ByteReader, limit: number): number {
  const value = reader.u8();
  if (value >= limit) reader.fail('an impossible basin or stratum', `below ${limit}`, value);
  return value;
}
