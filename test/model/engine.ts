/**
 * The model's store: commits, one at a time, and close.
 *
 * A commit writes the values, or has its record carry them, then one record that says everything it does, then the housekeeping
 * that rides along; one sync makes all of it durable, and only then does it count. What the steps
 * protect from stands in `rules.ts`; each rule can be left out. Opening is in `opening.ts`.
 */

import { type Disk, DiskError } from './disk.ts';
import { housekeepingSynced, writeHousekeeping } from './housekeeping.ts';
import { recordsByBatch, scanLog } from './log.ts';
import { openStore } from './opening.ts';
import type { Rules } from './rules.ts';
import {
  encodeRecord,
  grainCount,
  grainsPerMap,
  type LogPosition,
  type LogRecord,
  logPlace,
  mapOf,
  mapPlace,
  type Op,
  opsCrc,
  sectorsNeeded,
  segmentPlaces,
  valueCrc,
  valuePlace,
} from './sectors.ts';
import {
  applyOp,
  carryOp,
  claimSegment,
  freeArea,
  freeSegment,
  newestHeader,
  Poisoned,
  passRecord,
  placeForRecord,
  placeOf,
  Rejected,
  type State,
} from './state.ts';

/** What a session asks for. */
export interface SessionPlan {
  readonly puts: readonly { readonly grain: number; readonly bytes: string }[];
  readonly frees: readonly number[];
  /** The record carries the bytes of the puts. */
  readonly carries?: boolean | undefined;
  /** The log up to this batch is no longer wanted. */
  readonly checkpoint?: number | undefined;
  /** A map that was copied is in its new area from now on. */
  readonly move?: { readonly map: number; readonly area: number } | undefined;
}

/** Stands for a grain whose bytes are not those of the value that it should hold. */
const unreadable = '?';
/** Rounds of housekeeping with syncs of their own; more would be a bug of the model. */
const roundsMax = 30;

export class Engine {
  readonly #state: State;
  #blankDue: LogPosition | undefined;

  /** Opens the store that is on the disk. Throws `Corrupt`, or what the disk throws. */
  constructor(disk: Disk, rules: Rules) {
    this.#state = openStore(disk, rules);
  }

  get last(): number {
    return this.#state.last;
  }

  get checkpoint(): number {
    return this.#state.checkpoint;
  }

  isUsed(grain: number): boolean {
    return this.#state.used[grain] === true;
  }

  /** The bytes of each grain, undefined where it is free. */
  values(): (string | undefined)[] {
    const values: (string | undefined)[] = [];
    for (let grain = 0; grain < grainCount; grain++) {
      const sector = this.#state.disk.read(placeOf(this.#state, grain));
      const readable = sector?.kind === 'value' && sector.grain === grain;
      const stored = readable ? sector.bytes : unreadable;
      const bytes = this.#state.carried.get(grain)?.bytes ?? stored;
      values.push(this.isUsed(grain) ? bytes : undefined);
    }
    return values;
  }

  /** The work of each batch after the checkpoint, as the log on the disk has it. */
  commitLog(): Map<number, string> {
    const { disk, rules, checkpoint, last } = this.#state;
    const header = newestHeader(this.#state);
    const { records } = scanLog(disk, header.segments, rules);
    const log = new Map<number, string>();
    for (const [batch, { ops }] of recordsByBatch(records, header, rules)) {
      if (batch > checkpoint && batch <= last) log.set(batch, opsCrc(ops));
    }
    return log;
  }

  /** Throws `Rejected` or `Poisoned`, or that the process is gone. */
  commit(plan: SessionPlan): void {
    const state = this.#state;
    if (state.rules.stillWhileCopied && this.#putsWhereCopied(plan)) state.copying = undefined;
    // Whatever becomes of the move, there will be another copy before the next one.
    if (plan.move !== undefined) state.copying = undefined;
    if (this.#blankDue) this.#blank(this.#blankDue);
    const record = this.#reserve(opsOf(plan));
    try {
      for (const { grain, bytes } of plan.carries ? [] : plan.puts) {
        state.disk.write(placeOf(state, grain), { kind: 'value', grain, bytes });
      }
    } catch (error) {
      throw rejectionOf(error);
    }
    this.#writeRecord(record);
    writeHousekeeping(state, 'share');
    this.#sync();
    for (const op of record.ops) {
      applyOp(state, op, record.batch);
      carryOp(state, op, record.batch);
    }
    passRecord(state, record);
    state.last = record.batch;
  }

  /** Copies the values of a map to a free area, if there is one and no other map is being copied. */
  copyMap(map: number): void {
    const state = this.#state;
    const { disk, rules } = state;
    const area = freeArea(state);
    if (state.copying !== undefined || area === undefined) return;
    for (let grain = map * grainsPerMap; grain < (map + 1) * grainsPerMap; grain++) {
      const carried = rules.copyHasCarried ? state.carried.get(grain)?.bytes : undefined;
      const stored = disk.read(placeOf(state, grain));
      const copy =
        carried === undefined ? stored : { kind: 'value' as const, grain, bytes: carried };
      disk.write(valuePlace(grain, area), copy);
    }
    state.copying = { map, area, synced: false };
  }

  /** The move that a commit with this plan can make: of a map whose copy is durable. */
  possibleMove(plan: SessionPlan): SessionPlan['move'] {
    const { copying, rules } = this.#state;
    if (copying === undefined || (rules.copiedFirst && !copying.synced)) return undefined;
    if (rules.stillWhileCopied && this.#putsWhereCopied(plan)) return undefined;
    return { map: copying.map, area: copying.area };
  }

  #putsWhereCopied({ puts }: SessionPlan): boolean {
    const copied = this.#state.copying?.map;
    return puts.some(({ grain }) => mapOf(grain) === copied);
  }

  /** Someone else's bytes go where the file has room: what is free must not be relied on. */
  scribbleOnFreeSpace(): void {
    const { disk } = this.#state;
    for (const place of segmentPlaces(freeSegment(this.#state))) {
      disk.write(place, { kind: 'foreign' });
    }
    const area = freeArea(this.#state);
    if (area === undefined) return;
    for (let index = 0; index < grainsPerMap; index++) {
      disk.write(valuePlace(index, area), { kind: 'foreign' });
    }
    for (const slot of [0, 1] as const) disk.write(mapPlace(area, slot, 0), { kind: 'foreign' });
  }

  /** Settles everything, then marks both header copies clean. */
  close(): void {
    this.#state.closing = true;
    this.#finishHousekeeping(() => false);
  }

  /** A place in the log for a record; where none is ready, housekeeping is done for it first. */
  #reserve(ops: readonly Op[]): LogRecord {
    const state = this.#state;
    const sectorCount = sectorsNeeded(ops);
    try {
      this.#finishHousekeeping(() => placeForRecord(state, sectorCount) !== undefined);
    } catch (error) {
      throw rejectionOf(error);
    }
    const position = placeForRecord(state, sectorCount);
    if (!position) throw new Stuck('no place for a record');
    return { batch: state.last + 1, epoch: state.epoch, ops, sectorCount, position };
  }

  #writeRecord(record: LogRecord): void {
    const { disk, rules } = this.#state;
    claimSegment(this.#state, record);
    try {
      for (const { place, sector } of encodeRecord(record)) disk.write(place, sector);
    } catch (error) {
      const rejection = rejectionOf(error);
      if (rules.blankFailedRecord && rules.rejectAfterBlank) this.#blank(record.position);
      else if (rules.blankFailedRecord) this.#blankDue = record.position;
      throw rejection;
    }
  }

  /** Makes sure that a record which failed, but may be on the disk, is never read. */
  #blank(position: LogPosition): void {
    const state = this.#state;
    try {
      state.disk.write(logPlace(position), undefined);
    } catch (error) {
      if (error instanceof DiskError) throw new Poisoned('the blank', { cause: error });
      throw error;
    }
    this.#sync();
    this.#blankDue = undefined;
  }

  #finishHousekeeping(isEnough: () => boolean): void {
    for (let round = 0; round < roundsMax; round++) {
      if (isEnough()) return;
      const wrote = writeHousekeeping(this.#state, 'all');
      if (!wrote && this.#state.pendingHeaders.length === 0) return;
      this.#sync();
    }
    throw new Stuck('housekeeping does not come to an end');
  }

  #sync(): void {
    const { disk, rules } = this.#state;
    try {
      disk.sync();
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
      if (rules.poison) throw new Poisoned('the sync', { cause: error });
      // "Try again": the page cache holds nothing dirty any more, so this one succeeds.
      disk.sync();
    }
    housekeepingSynced(this.#state);
  }
}

/** The store can make no room in the log any more: its commits would never end. */
export class Stuck extends Error {}

/** What a record says. Freed grains come first, so that a batch that (wrongly) reuses its own makes sense. */
export function opsOf(plan: SessionPlan): Op[] {
  const ops: Op[] = [];
  for (const grain of plan.frees) ops.push({ kind: 'free', grain });
  for (const { grain, bytes } of plan.puts) {
    const carried = plan.carries ? bytes : undefined;
    ops.push({ kind: 'allocate', grain, crc: valueCrc(grain, bytes), carried });
  }
  if (plan.move !== undefined) ops.push({ kind: 'move', ...plan.move });
  if (plan.checkpoint !== undefined) ops.push({ kind: 'checkpoint', batch: plan.checkpoint });
  return ops;
}

function rejectionOf(error: unknown): unknown {
  return error instanceof DiskError ? new Rejected('a write failed', { cause: error }) : error;
}
