/**
 * What the model's store keeps in memory, and the questions that all its parts ask of it.
 *
 * Lost with the process; `opening.ts` makes it anew from the disk. The steps that change it stand
 * in `engine.ts` (commits) and `housekeeping.ts` (settling, log segments, headers).
 */

import type { Disk } from './disk.ts';
import type { Rules } from './rules.ts';
import {
  areaCount,
  type Header,
  type LogPosition,
  type LogRecord,
  laneSectors,
  type MapName,
  mapOf,
  type Op,
  type Side,
  valuePlace,
} from './sectors.ts';

/** `VARVE_CORRUPT`. */
export class Corrupt extends Error {}

/** The batch is not there, now or after reopening; the store goes on. */
export class Rejected extends Error {}

/** `VARVE_POISONED`: whether the batch is there is known after reopening. */
export class Poisoned extends Error {}

export interface SettledMap {
  readonly name: MapName;
  readonly stamp: number;
}

/** A settle under way. */
export interface Settle {
  /** The last batch when it began: every map will contain it. */
  readonly base: number;
  /** Dirty maps that are still to be written. */
  readonly queue: number[];
  readonly written: Map<number, SettledMap>;
  /** Every dirty map was written, and the sync since has completed. */
  durable: boolean;
}

/** A map that is being copied to another area. */
export interface Copying {
  readonly map: number;
  readonly area: number;
  /** A sync since the copy was made is over. */
  synced: boolean;
}

export interface State {
  readonly disk: Disk;
  readonly rules: Rules;
  /** Grains that a batch has allocated and none has freed. */
  readonly used: boolean[];
  /** For each map, the last batch that changed it, and the batch that its newest copy contains. */
  readonly touched: number[];
  /** By grain: the bytes of values that only a record has so far, and its batch. */
  readonly carried: Map<number, { readonly bytes: string; readonly batch: number }>;
  readonly stamps: number[];
  /** Where each map and its values are. */
  readonly areas: number[];
  copying: Copying | undefined;
  last: number;
  checkpoint: number;
  readonly epoch: number;
  /** The header copies, as far as they are durable; undefined where one is unreadable. */
  readonly copies: [Header | undefined, Header | undefined];
  newest: Side;
  /** The header that has been written since the last sync. At most one, if the rule holds. */
  readonly pendingHeaders: { readonly copy: Side; readonly header: Header }[];
  settle: Settle | undefined;
  /** The next log segment, zero-filled but not listed yet. */
  filling: { readonly segment: number; synced: boolean } | undefined;
  /** Where the next record of each lane goes, if it fits. */
  readonly lanes: [LogPosition, LogPosition];
  /** For each segment, the last batch with a record in it. */
  readonly lastIn: Map<number, number>;
  closing: boolean;
}

export function other(side: Side): Side {
  return side === 0 ? 1 : 0;
}

export function newestHeader(state: State): Header {
  return state.copies[state.newest] as Header;
}

/** The headers that opening may yet go by; whatever one of them refers to is not free. */
export function headersThatCount(state: State): Header[] {
  const copies = state.rules.mirror ? state.copies : [state.copies[state.newest]];
  const pending = state.pendingHeaders.map(({ header }) => header);
  return [...copies, ...pending].filter((header) => header !== undefined);
}

export function laneOf(batch: number, rules: Rules): Side {
  return rules.twoLanes && batch % 2 === 1 ? 1 : 0;
}

/** Where the record of the next batch goes; undefined where a segment has to be made ready first. */
export function placeForRecord(state: State, sectorCount: number): LogPosition | undefined {
  const position = state.lanes[laneOf(state.last + 1, state.rules)];
  if (position.index + sectorCount <= laneSectors) return position;
  const { rules, copies, filling } = state;
  const { segments } = newestHeader(state);
  const next = segments[segments.indexOf(position.segment) + 1];
  if (next === undefined && rules.listedFirst) return undefined;
  const listed =
    next === undefined || copies.every((copy) => !copy || copy.segments.includes(next));
  if (!listed && rules.listedInBoth && rules.mirror) return undefined;
  const segment = next ?? filling?.segment;
  return segment === undefined ? undefined : { segment, lane: position.lane, index: 0 };
}

/** Where the value of a grain is. */
export function placeOf(state: State, grain: number): string {
  return valuePlace(grain, state.areas[mapOf(grain)]);
}

/** An area that nothing refers to, if there is one. */
export function freeArea(state: State): number | undefined {
  const taken = new Set(state.areas);
  if (state.copying) taken.add(state.copying.area);
  if (state.rules.oldPlaceStays) {
    for (const { maps } of headersThatCount(state)) {
      for (const [map, name] of maps.entries()) taken.add(name?.area ?? map);
    }
  }
  for (let area = 0; area < areaCount; area++) if (!taken.has(area)) return area;
  return undefined;
}

/** A log segment's place in the file that nothing refers to. */
export function freeSegment(state: State): number {
  for (let segment = 0; ; segment++) {
    const listed = headersThatCount(state).some((header) => header.segments.includes(segment));
    if (!listed && state.filling?.segment !== segment) return segment;
  }
}

/** Takes a batch's work into memory; throws where it does not fit what is there. */
export function applyOp(state: State, op: Op, batch: number): void {
  if (op.kind === 'checkpoint') {
    state.checkpoint = Math.max(state.checkpoint, op.batch);
    return;
  }
  if (op.kind === 'move') {
    state.areas[op.map] = op.area;
    state.touched[op.map] = batch;
    return;
  }
  const allocate = op.kind === 'allocate';
  if (state.used[op.grain] === allocate) throw new Corrupt(`batch ${batch} does not fit its map`);
  state.used[op.grain] = allocate;
  state.touched[mapOf(op.grain)] = batch;
}

/** Takes the bytes that a record carries into memory, and forgets those of a value that it frees. */
export function carryOp(state: State, op: Op, batch: number): void {
  if (op.kind === 'free' && state.rules.freedStaysAway) state.carried.delete(op.grain);
  if (op.kind !== 'allocate') return;
  if (op.carried !== undefined) state.carried.set(op.grain, { bytes: op.carried, batch });
}

/** The record is in the log: the next one of its lane goes behind it. */
export function passRecord(state: State, { position, sectorCount }: LogRecord): void {
  state.lanes[position.lane] = { ...position, index: position.index + sectorCount };
}

/** The record is, or is about to be, in its segment, which therefore has to stay listed. */
export function claimSegment(state: State, { position, batch }: LogRecord): void {
  state.lastIn.set(position.segment, Math.max(batch, state.lastIn.get(position.segment) ?? 0));
}
