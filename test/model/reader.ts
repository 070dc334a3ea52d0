/**
 * The model's reader: opens and reads beside the writer, without its lock, one sector at a step.
 *
 * Every read of the disk is a step: whoever runs the generator may let the writer go on between two
 * of them. Its rules can be left out one by one (`readerRules`); what they are for stands in
 * `spec/format.md`, "Beside a writer". Maps are read when a grain of theirs is asked for.
 */

import type { Disk } from './disk.ts';
import {
  decodeMap,
  grainsPerMap,
  type Header,
  headerPlace,
  type LogPosition,
  type LogSector,
  laneSectors,
  logPlace,
  mapOf,
  mapPlace,
  type Op,
  opsCrc,
  partsPerMap,
  type Sector,
  type Side,
  valuePlace,
} from './sectors.ts';

export const readerRules = {
  followAfterRead: 'The log is followed to its end after the bytes were read, not before.',
  headerAfterLook:
    'The place of the next record is empty only if a header read after it does not confirm that batch.',
  scanAgain:
    'A record that is missing before a later one is damage only if a second scan misses it too.',
  consecutive: 'A state is made of consecutive records, and of no later one.',
  firstChange: 'The first change after the batch of the reader says what a grain was.',
  stillInPlace: 'A record that was followed must still be there at each later look.',
  newerWithDifferences: 'A newer map counts only with the changes up to its stamp.',
  readWhereMoved:
    'A value of a map that has moved since is read in the new place; after the read the map is still there.',
  marksOfTheMap: 'A newer map counts only if it is of the same map: another one may be there now.',
  carriedFromLog:
    'The bytes that a record after the base carries are taken from the record, not from the grains.',
} as const;

export type ReaderRule = keyof typeof readerRules;

/** Steps: each is before one read of a sector. */
export type Reading<Result> = Generator<void, Result>;

interface SeenRecord {
  readonly batch: number;
  readonly epoch: number;
  readonly ops: readonly Op[];
  readonly position: LogPosition;
  readonly sectorCount: number;
}

/** Why the reader gives no bytes. */
export type NoBytes = 'absent' | 'gone' | 'corrupt';

export class Reader {
  readonly #disk: Disk;
  readonly #without: ReaderRule | undefined;
  readonly #keepsMaps: boolean;
  #header!: Header;
  #records = new Map<number, SeenRecord>();
  #segments: readonly number[] = [];
  /** Behind the last record of each lane; undefined if that is before the base. */
  #lanes: [LogPosition?, LogPosition?] = [];
  #last: SeenRecord | undefined;
  /** The log has moved away, or what was followed was taken back: nothing can be proven. */
  #lost = false;
  /** Changes after the batch, in order. */
  #changes: { readonly grain: number; readonly kind: Op['kind'] }[] = [];
  /** The named maps that were read. */
  readonly #maps = new Map<number, NonNullable<ReturnType<typeof decodeMap>>>();
  /** Where maps are that have moved after the batch. */
  readonly #moved = new Map<number, number>();
  batch = 0;
  #next = 1;

  /** `keepsMaps`: maps that were read stay in memory. */
  constructor(disk: Disk, without: ReaderRule | undefined, keepsMaps: boolean) {
    this.#disk = disk;
    this.#without = without;
    this.#keepsMaps = keepsMaps;
  }

  *#read(place: string): Reading<Sector> {
    yield;
    return this.#disk.read(place);
  }

  // ── opening ──

  /** False: the reader calls the file corrupt. */
  *open(): Reading<boolean> {
    for (let tries = 0; tries < 30; tries++) {
      const header = yield* this.#newestHeader();
      if (header === undefined) return false;
      const records = yield* this.#consistentLog(header);
      if (records !== undefined) {
        this.#begin(header, records);
        return true;
      }
      const now = yield* this.#newestHeader();
      if (now?.generation === header.generation) return false;
    }
    return false;
  }

  *#newestHeader(): Reading<Header | undefined> {
    let newest: Header | undefined;
    for (const copy of [0, 1] as const) {
      const sector = yield* this.#read(headerPlace(copy));
      if (sector?.kind !== 'header') continue;
      if (newest === undefined || sector.generation > newest.generation) newest = sector;
    }
    return newest;
  }

  /** The records after the base; undefined if one that must be there is missing. */
  *#consistentLog(header: Header): Reading<Map<number, SeenRecord> | undefined> {
    let least = header.confirmed;
    for (let scan = 0; scan < 2; scan++) {
      const records = yield* this.#scan(header);
      const highest = Math.max(header.base, ...records.keys());
      if (this.#without === 'consecutive') return records;
      let last = header.base;
      while (records.has(last + 1)) last += 1;
      const isWhole = last === highest ? last >= header.confirmed : scan > 0 && last >= least;
      for (const batch of [...records.keys()]) if (batch > last) records.delete(batch);
      if (isWhole) return records;
      if (this.#without === 'scanAgain') return undefined;
      least = Math.max(least, highest);
    }
    return undefined;
  }

  *#scan(header: Header): Reading<Map<number, SeenRecord>> {
    const records = new Map<number, SeenRecord>();
    for (const segment of header.segments) {
      for (const lane of [0, 1] as const) {
        for (let index = 0; index < laneSectors; index++) {
          const record = yield* this.#recordAt({ segment, lane, index });
          if (record === undefined || record.batch <= header.base) continue;
          if (record.batch > header.confirmed && record.epoch < header.epoch) continue;
          records.set(record.batch, record);
        }
      }
    }
    return records;
  }

  *#recordAt(position: LogPosition): Reading<SeenRecord | undefined> {
    const head = yield* this.#logSector(position);
    if (head === undefined || head.index !== 0) return undefined;
    const ops = [...head.ops];
    for (let index = 1; index < head.sectorCount; index++) {
      const sector = yield* this.#logSector({ ...position, index: position.index + index });
      const isSame = sector?.batch === head.batch && sector.epoch === head.epoch;
      if (sector === undefined || !isSame || sector.index !== index) return undefined;
      ops.push(...sector.ops);
    }
    if (opsCrc(ops) !== head.bodyCrc) return undefined;
    const { batch, epoch, sectorCount } = head;
    return { batch, epoch, ops, position, sectorCount };
  }

  *#logSector(position: LogPosition): Reading<LogSector | undefined> {
    const sector = yield* this.#read(logPlace(position));
    return sector?.kind === 'log' && sector.place === logPlace(position) ? sector : undefined;
  }

  #begin(header: Header, records: Map<number, SeenRecord>): void {
    const inOrder = [...records.values()].sort((one, other) => one.batch - other.batch);
    this.#header = header;
    this.#records = new Map(inOrder.map((record) => [record.batch, record]));
    this.batch = Math.max(header.base, ...records.keys());
    this.#next = this.batch + 1;
    this.#last = records.get(this.batch);
    this.#lost = false;
    this.#changes = [];
    this.#moved.clear();
    this.#maps.clear();
    this.#segments = header.segments;
    this.#lanes = [];
    for (const record of inOrder) this.#pass(record);
  }

  #pass({ position, sectorCount }: SeenRecord): void {
    this.#lanes[position.lane] = { ...position, index: position.index + sectorCount };
  }

  // ── following ──

  /** Takes in what was committed since; false if the end of the log cannot be found. */
  *#follow(): Reading<boolean> {
    let doubted = 0;
    for (let tries = 0; tries < 60 && !this.#lost; tries++) {
      const found = yield* this.#look();
      if (this.#without !== 'stillInPlace' && !(yield* this.#lastIsThere())) {
        this.#lost = true;
      } else if (found !== undefined) this.#accept(found);
      else {
        if (this.#without === 'headerAfterLook') return true;
        const header = yield* this.#newestHeader();
        if (header === undefined) return false;
        const isNews = header.segments.join() !== this.#segments.join();
        if (isNews) this.#segments = header.segments;
        else if (header.confirmed < this.#next) return true;
        else if (doubted === this.#next) this.#lost = true;
        doubted = this.#next;
      }
    }
    return false;
  }

  /** The next record: behind the last one of its lane, or first in the segment after that. */
  *#look(): Reading<SeenRecord | undefined> {
    const lane = (this.#next % 2) as Side;
    for (const position of this.#placesIn(lane)) {
      const record = yield* this.#recordAt(position);
      if (record?.batch === this.#next) return record;
    }
    return undefined;
  }

  /** Without a record of the lane that is known, it may be anywhere in the log. */
  #placesIn(lane: Side): LogPosition[] {
    const known = this.#lanes[lane];
    if (known === undefined) {
      const indices = Array.from({ length: laneSectors }, (_, index) => index);
      return this.#segments.flatMap((segment) =>
        indices.map((index) => ({ segment, lane, index })),
      );
    }
    const following = this.#segments[this.#segments.indexOf(known.segment) + 1];
    const places = known.index < laneSectors ? [known] : [];
    if (following === undefined) return places;
    return [...places, { segment: following, lane, index: 0 }];
  }

  *#lastIsThere(): Reading<boolean> {
    if (this.#last === undefined) return true;
    const { position, batch, epoch, ops } = this.#last;
    const head = yield* this.#logSector(position);
    // A segment that is used again is told from its header, not from here.
    if (head !== undefined && head.batch > batch) return true;
    const isSame = head?.batch === batch && head.epoch === epoch;
    return isSame && head.bodyCrc === opsCrc(ops);
  }

  #accept(record: SeenRecord): void {
    this.#pass(record);
    this.#last = record;
    this.#next += 1;
    for (const op of record.ops) {
      if (op.kind === 'move') this.#moved.set(op.map, op.area);
      if ('grain' in op) this.#changes.push({ grain: op.grain, kind: op.kind });
    }
  }

  // ── reading ──

  /** The bytes of the grain as of the batch, or why there are none. */
  *bytesOf(grain: number): Reading<{ bytes: string } | NoBytes> {
    if (this.#without === 'followAfterRead') yield* this.#follow();
    const marks = yield* this.#marks(grain);
    let value: Sector;
    for (;;) {
      const area = this.#areaOf(mapOf(grain));
      value = yield* this.#read(valuePlace(grain, area));
      if (this.#without !== 'followAfterRead' && !(yield* this.#follow())) return 'gone';
      if (this.#lost) return 'gone';
      if (this.#without === 'readWhereMoved' || area === this.#areaOf(mapOf(grain))) break;
    }
    const changes = this.#changes.filter((change) => change.grain === grain);
    const change = this.#without === 'firstChange' ? changes.at(-1) : changes[0];
    const trustsNewer = this.#without === 'newerWithDifferences' && marks === 'used by a newer map';
    if (change?.kind === 'free') return 'gone';
    if (change?.kind === 'allocate' && !trustsNewer) return 'absent';
    if (marks === undefined) return 'gone';
    if (marks === 'free') return 'absent';
    const carried = this.#without === 'carriedFromLog' ? undefined : this.#carried(grain);
    if (carried !== undefined) return { bytes: carried };
    if (value?.kind !== 'value' || value.grain !== grain) return 'corrupt';
    return { bytes: value.bytes };
  }

  /** Where the values of a map are, as far as the log was followed. */
  #areaOf(map: number): number {
    const moved = this.#without === 'readWhereMoved' ? undefined : this.#moved.get(map);
    return moved ?? this.#areaThen(map);
  }

  /** Where they are as of the batch. */
  #areaThen(map: number): number {
    let area = this.#header.maps[map]?.area ?? map;
    for (const { ops } of this.#records.values()) {
      for (const op of ops) if (op.kind === 'move' && op.map === map) area = op.area;
    }
    return area;
  }

  *#marks(grain: number): Reading<'free' | 'used' | 'used by a newer map' | undefined> {
    const map = mapOf(grain);
    const name = this.#header.maps[map];
    if (name === undefined) return this.#usedAfter(grain, 0, false) ? 'used' : 'free';
    const found = this.#maps.get(map) ?? (yield* this.#map(name.area, name.slot));
    if (found?.crc !== name.crc) return yield* this.#newerMarks(map, grain);
    if (this.#keepsMaps) this.#maps.set(map, found);
    const used = found.used[grain % grainsPerMap] === true;
    return this.#usedAfter(grain, found.stamp, used) ? 'used' : 'free';
  }

  /** What the records up to the batch make of a mark as of `stamp`. */
  #usedAfter(grain: number, stamp: number, before: boolean): boolean {
    let used = before;
    for (const { batch, ops } of this.#records.values()) {
      if (batch <= stamp) continue;
      for (const op of ops) {
        if ('grain' in op && op.grain === grain) used = op.kind === 'allocate';
      }
    }
    return used;
  }

  /** The bytes of the grain that a record between the base and the batch carries. */
  #carried(grain: number): string | undefined {
    let carried: string | undefined;
    for (const { ops } of this.#records.values()) {
      for (const op of ops) {
        if (op.kind === 'allocate' && op.grain === grain) carried = op.carried;
      }
    }
    return carried;
  }

  *#newerMarks(map: number, grain: number): Reading<'free' | 'used by a newer map' | undefined> {
    for (const slot of [0, 1] as const) {
      const found = yield* this.#map(this.#areaOf(map), slot);
      if (found === undefined || found.stamp <= this.#header.base) continue;
      if (found.map !== map && this.#without !== 'marksOfTheMap') continue;
      const used = found.used[grain % grainsPerMap] === true;
      return this.#usedAfter(grain, found.stamp, used) ? 'used by a newer map' : 'free';
    }
    return undefined;
  }

  *#map(area: number, slot: Side): Reading<ReturnType<typeof decodeMap>> {
    const sectors: Sector[] = [];
    for (let part = 0; part < partsPerMap; part++) {
      sectors.push(yield* this.#read(mapPlace(area, slot, part)));
    }
    return decodeMap(sectors);
  }
}
