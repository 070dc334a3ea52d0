/**
 * Plans a batch before anything is written: its log record, the structures that it makes durable,
 * the values that it frees, the new checkpoint and embedded header.
 *
 * Invariant: planning changes nothing that a reader can see. It only marks new maps as being added,
 * so that they are not given back. `publish` changes the rest once the record is durable. Changes
 * keep the order in which their sessions queued.
 */

import { valuePrefixBytes } from '../../format/layout.ts';
import { type GrainRun, LogRecordWriter, type RecordPreamble } from '../../format/log-record.ts';
import { assert, present } from '../../util/assert.ts';
import { pause, type Steps, stepsPerPause } from '../file/effects.ts';
import type { Atlas } from '../grains/atlas.ts';
import type { BasinState } from '../grains/basin-state.ts';
import type { GrainMap } from '../grains/grain-map.ts';
import type { MapPart } from '../grains/map-parts.ts';
import type { Stratum } from '../grains/stratum.ts';
import type { Published } from '../settle/settle.ts';
import type { Loan } from '../state/lent-pages.ts';
import type { Freed } from '../state/recent-archives.ts';
import type { SessionWork, StagedValue } from './session-work.ts';

export interface BatchPlan {
  readonly after: Published;
  readonly works: readonly SessionWork[];
  readonly freed: ReadonlyMap<SessionWork, Freed>;
  readonly added: AddedStructures;
  readonly dropped: readonly DroppedMap[];
  readonly moves: readonly MapMove[];
  readonly body: Uint8Array;
  /** Values that the record allocates, archives or frees. */
  readonly entries: number;
  /** The record carries the bytes of all its new values. */
  readonly carries: boolean;
}

/** Structures that the batch's values need and that are not durable yet, in order of creation. */
export interface AddedStructures {
  readonly basins: readonly { readonly number: number; readonly basin: BasinState }[];
  readonly strata: readonly Stratum[];
  readonly maps: readonly { readonly stratum: Stratum; readonly map: GrainMap }[];
}

export const nothingAdded: AddedStructures = { basins: [], strata: [], maps: [] };

/** An empty map that the batch gives back. */
export interface DroppedMap {
  readonly stratum: Stratum;
  readonly map: GrainMap;
}

/** A map that others replace: they have its values already, synced. */
export interface MapMove {
  readonly stratum: Stratum;
  readonly map: GrainMap;
  readonly parts: readonly MapPart[];
  /** The pages of the parts: the Atlas owns them, and may drop them, from publishing on. */
  readonly loan: Loan;
}

/** The inputs of a plan. */
export interface BatchRequest {
  /** The published state; it must not change during planning. */
  readonly before: Published;
  /** Bytes of retained log after this batch, without its own record. */
  readonly retainedLogBytes: number;
  readonly works: readonly SessionWork[];
  /** For each session that moves the checkpoint: what it frees. */
  readonly freed: ReadonlyMap<SessionWork, Freed>;
  readonly checkpoint: number;
  readonly dropped: readonly DroppedMap[];
  readonly moves?: readonly MapMove[] | undefined;
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** Sort long lists of values, for a shorter record. */
  readonly isShort?: boolean;
  /** The record carries the bytes of all new values: none is in the file. */
  readonly carries?: boolean;
}

/** In a short record, lists of at least this many values are sorted. */
const sortedFrom = 500;

/**
 * Plans the batch, with pauses in which sessions may push and withdraw values.
 *
 * Requires: no batch is published in its pauses.
 */
export function* planBatch(atlas: Atlas, request: BatchRequest): Steps<BatchPlan> {
  const { before, works, freed, checkpoint, dropped, moves = [] } = request;
  const { isShort = false, carries = false } = request;
  assert(checkpoint >= before.checkpoint, 'a batch does not take a checkpoint back');
  assert(request.retainedLogBytes >= 0, 'a checkpoint forgets no more log than there is');
  const after = publishedAfter(before, works, checkpoint);
  const added = yield* structuresNeeded(atlas, works);
  // An empty one must not be given back while the record is written.
  for (const { map } of added.maps) map.setBeingAdded(true);
  const writer = new LogRecordWriter(preambleOf(after, request.now, request.retainedLogBytes));
  writeStructures(writer, added, dropped);
  writeMoves(writer, moves);
  let entries = 0;
  for (const work of works) {
    const { operations } = work;
    const sorted = isShort && isLong(operations) ? yield* archivesSorted(operations) : operations;
    for (const value of sorted) {
      if (entries++ % stepsPerPause === 0) yield pause;
      if (value.operation === 'archive') writer.archive(value);
      else if (carries) writer.carry(value, carriedBytesOf(value), valuePrefixBytes);
      else writer.allocate(value, value.crc);
    }
    const { values = [] } = freed.get(work) ?? {};
    for (const run of isShort && isLong(values) ? yield* sortedByPlace(values) : values) {
      if (entries++ % stepsPerPause === 0) yield pause;
      writer.free(run);
    }
  }
  const body = writer.finish();
  return { after, works, freed, added, dropped, moves, body, entries, carries };
}

/** The state that a batch of these sessions leaves; the last embedded header wins. */
export function publishedAfter(
  before: Published,
  works: readonly SessionWork[],
  checkpoint: number,
): Published {
  let { embeddedHeader } = before;
  for (const work of works) {
    if (work.embeddedHeader !== undefined) embeddedHeader = work.embeddedHeader ?? 0n;
  }
  return { currentBatch: before.currentBatch + 1, checkpoint, embeddedHeader };
}

/** The fields before the operations of a record. `now`: milliseconds since the epoch. */
export function preambleOf(
  after: Published,
  now: number,
  retainedLogBytes: number,
): RecordPreamble {
  const { currentBatch: batch, checkpoint, embeddedHeader } = after;
  const committedAt = Math.max(0, Math.floor(now));
  return { batch, committedAt, embeddedHeader, checkpoint, retainedLogBytes };
}

/** Prefix, bytes and padding of a value that a record carries. */
export function carriedBytesOf({ bytes }: StagedValue): Uint8Array {
  return present(bytes, 'the bytes of a carried value');
}

type Operation = SessionWork['operations'][number];

/** Long enough that sorting can save pages of the record. */
function isLong(runs: readonly GrainRun[]): boolean {
  return runs.length >= sortedFrom;
}

/** New values in their order, then archived ones by place: most of these take one byte then. */
function* archivesSorted(operations: readonly Operation[]): Steps<Operation[]> {
  const allocated: Operation[] = [];
  const archived: Operation[] = [];
  for (const [at, one] of operations.entries()) {
    if (at % stepsPerPause === 0) yield pause;
    if (one.operation === 'allocate') allocated.push(one);
    else archived.push(one);
  }
  return allocated.concat(yield* sortedByPlace(archived));
}

/** A merge sort, since `Array.sort` cannot pause. */
function* sortedByPlace<Run extends GrainRun>(runs: readonly Run[]): Steps<Run[]> {
  let sorted: Run[][] = [];
  for (let at = 0; at < runs.length; at += stepsPerPause) {
    yield pause;
    sorted.push(runs.slice(at, at + stepsPerPause).sort(byPlace));
  }
  while (sorted.length > 1) {
    const merged: Run[][] = [];
    for (let at = 0; at < sorted.length; at += 2) {
      merged.push(yield* mergedByPlace(sorted[at] as Run[], sorted[at + 1] ?? []));
    }
    sorted = merged;
  }
  return sorted[0] ?? [];
}

function* mergedByPlace<Run extends GrainRun>(
  one: readonly Run[],
  other: readonly Run[],
): Steps<Run[]> {
  const merged: Run[] = [];
  let at = 0;
  for (const run of one) {
    for (; at < other.length && byPlace(other[at] as Run, run) < 0; at++) {
      if (merged.length % stepsPerPause === 0) yield pause;
      merged.push(other[at] as Run);
    }
    if (merged.length % stepsPerPause === 0) yield pause;
    merged.push(run);
  }
  return merged.concat(other.slice(at));
}

function byPlace(one: GrainRun, other: GrainRun): number {
  return one.basin - other.basin || one.stratum - other.stratum || one.index - other.index;
}

function writeStructures(
  writer: LogRecordWriter,
  added: AddedStructures,
  dropped: readonly DroppedMap[],
): void {
  for (const { number } of added.basins) writer.addBasin(number);
  for (const { basin, number, grainExp } of added.strata) {
    writer.addStratum(basin, number, grainExp);
  }
  for (const { stratum, map } of added.maps) {
    const { firstIndex, grains, page } = map;
    const further = map.extents.slice(1);
    const { basin, number } = stratum;
    writer.addMap({ basin, stratum: number, firstIndex, grains, page, further });
  }
  for (const { stratum, map } of dropped) {
    const { basin, number } = stratum;
    assert(map.durable && map.takenGrains === 0, 'only durable and empty maps are given back');
    writer.dropMap({ basin, stratum: number, firstIndex: map.firstIndex });
  }
}

function writeMoves(writer: LogRecordWriter, moves: readonly MapMove[]): void {
  for (const { stratum, map, parts } of moves) {
    const { basin, number } = stratum;
    assert(map.durable && map.isStill, 'a map moves whose copy has all of its values');
    writer.replaceMap({ basin, stratum: number, firstIndex: map.firstIndex, parts });
  }
}

/**
 * The structures that the values of `works` need. A structure comes with all undurable ones before
 * it, since recovery can only add them in order.
 */
function* structuresNeeded(atlas: Atlas, works: readonly SessionWork[]): Steps<AddedStructures> {
  const lastIndex = new Map<Stratum, number>();
  let looked = 0;
  for (const work of works) {
    for (const value of work.operations) {
      if (looked++ % stepsPerPause === 0) yield pause;
      if (value.operation !== 'allocate') continue;
      const { home, index } = value;
      if (home.mapOf(index).durable) continue;
      lastIndex.set(home, Math.max(index, lastIndex.get(home) ?? 0));
    }
  }
  if (lastIndex.size === 0) return nothingAdded;
  const homes = [...lastIndex.keys()];
  const lastBasin = Math.max(...homes.map((stratum) => stratum.basin));
  const basins = atlas.basins.slice(0, lastBasin + 1);
  const strata = basins.flatMap((basin, number) => {
    const used = homes.filter((home) => home.basin === number).map((home) => home.number);
    return basin.strata.slice(0, Math.max(-1, ...used) + 1);
  });
  return {
    basins: basins
      .map((basin, number) => ({ number, basin }))
      .filter(({ basin }) => !basin.durable),
    strata: strata.filter((stratum) => !stratum.durable),
    maps: homes.flatMap((stratum) =>
      stratum.maps
        .filter((map) => !map.durable && map.firstIndex <= (lastIndex.get(stratum) ?? 0))
        .map((map) => ({ stratum, map })),
    ),
  };
}
