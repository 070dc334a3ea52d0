/**
 * Opening: from what is on the disk (or what the page cache shows of it) to a store in memory.
 *
 * Everything is decided before anything is written, and what the decision rests on is made durable
 * before anything else is. Recovery takes no batch id, and may be cut at any write, any number of
 * times. A file that is refused is left as it is.
 */

import type { Disk } from './disk.ts';
import { housekeepingSynced } from './housekeeping.ts';
import { lastOfTail, recordsByBatch, scanLog } from './log.ts';
import type { Rules } from './rules.ts';
import {
  decodeMap,
  encodeRecord,
  type GrainMap,
  grainsPerMap,
  type Header,
  headerPlace,
  type LogRecord,
  logPlace,
  type MapName,
  mapCount,
  mapOf,
  mapPlace,
  type Op,
  partsPerMap,
  type Side,
  sameContent,
  valueCrc,
} from './sectors.ts';
import {
  applyOp,
  Corrupt,
  carryOp,
  claimSegment,
  laneOf,
  newestHeader,
  other,
  passRecord,
  placeOf,
  type State,
} from './state.ts';

/** Whether nothing was ever created here, as far as the headers show. */
export function isBlank(disk: Disk): boolean {
  return disk.read(headerPlace(0)) === undefined && disk.read(headerPlace(1)) === undefined;
}

/** Creation: all but the headers is zeros, so that a creation cut short can be told. */
export function createStore(disk: Disk, rules: Rules): void {
  const header: Header = {
    kind: 'header',
    generation: 1,
    base: 0,
    maps: new Array<undefined>(mapCount).fill(undefined),
    segments: [0],
    epoch: 1,
    confirmed: 0,
    checkpoint: 0,
    clean: true,
  };
  disk.sync();
  disk.write(headerPlace(0), header);
  if (rules.oneHeaderAtATime) disk.sync();
  disk.write(headerPlace(1), { ...header, generation: 2 });
  disk.sync();
}

export function openStore(disk: Disk, rules: Rules): State {
  const copies = [readHeader(disk, 0), readHeader(disk, 1)] as [Header?, Header?];
  const newest = pickNewest(copies);
  const header = copies[newest] as Header;
  const log = scanLog(disk, header.segments, rules);
  const byBatch = recordsByBatch(log.records, header, rules);
  const found = lastOfTail(byBatch, header, rules);
  const clean = header.clean && (found === header.base || !rules.cleanMarkChecked);
  const unproven = !clean && found > header.confirmed ? byBatch.get(found) : undefined;

  const epochs = [header.epoch, ...copies.map((copy) => copy?.epoch ?? 0)];
  if (rules.topEpoch) epochs.push(log.topEpoch);
  const state = emptyState(disk, rules, Math.max(...epochs) + (rules.epoch ? 1 : 0));
  state.copies.splice(0, 2, ...(copies as State['copies']));
  state.newest = newest;
  const last = replay(state, byBatch, { found, unproven });
  placeLanes(state, byBatch);
  for (const record of log.records) claimSegment(state, record);
  makeDurable(state, {
    clean,
    lastRecord: last > header.confirmed ? byBatch.get(last) : undefined,
    takenBack: log.records.filter(({ batch }) => batch > last),
  });
  return state;
}

function readHeader(disk: Disk, copy: Side): Header | undefined {
  const sector = disk.read(headerPlace(copy));
  return sector?.kind === 'header' ? sector : undefined;
}

function pickNewest([first, second]: readonly [Header?, Header?]): Side {
  if (!first && !second) throw new Corrupt('both copies of the header are unreadable');
  return (second?.generation ?? 0) > (first?.generation ?? 0) ? 1 : 0;
}

/** The record's own CRCs, not those that the values carry: these can be of an older value. */
function valuesAreThere(state: State, record: LogRecord): boolean {
  const { disk, rules } = state;
  return record.ops.every((op) => {
    if (op.kind !== 'allocate' || op.carried !== undefined) return true;
    const sector = disk.read(placeOf(state, op.grain));
    if (sector?.kind !== 'value' || sector.grain !== op.grain) return false;
    return !rules.valueCrcInRecord || valueCrc(sector.grain, sector.bytes) === op.crc;
  });
}

function emptyState(disk: Disk, rules: Rules, epoch: number): State {
  return {
    disk,
    rules,
    used: [],
    touched: new Array<number>(mapCount).fill(0),
    carried: new Map(),
    stamps: [],
    areas: [],
    copying: undefined,
    last: 0,
    checkpoint: 0,
    epoch,
    copies: [undefined, undefined],
    newest: 0,
    pendingHeaders: [],
    settle: undefined,
    filling: undefined,
    lanes: [
      { segment: 0, lane: 0, index: 0 },
      { segment: 0, lane: 1, index: 0 },
    ],
    lastIn: new Map(),
    closing: false,
  };
}

/**
 * Loads the named maps and applies to each what the log says after its stamp, up to the last record
 * that counts. Returns its batch: that of the record `found` last, or the one before if nothing but
 * its values can prove that one, and they are not there.
 */
function replay(
  state: State,
  byBatch: ReadonlyMap<number, LogRecord>,
  { found, unproven }: { found: number; unproven: LogRecord | undefined },
): number {
  const header = newestHeader(state);
  state.checkpoint = header.checkpoint;
  for (let map = 0; map < mapCount; map++) {
    state.areas.push(header.maps[map]?.area ?? map);
    const { stamp, used } = loadMap(state, map);
    state.stamps.push(stamp);
    state.touched[map] = stamp;
    state.used.push(...used);
  }
  state.last = header.base;
  for (let batch = header.base + 1; batch <= found; batch++) {
    const record = byBatch.get(batch);
    // Values of a batch are written where their maps are when it begins.
    if (record && record === unproven && !valuesAreThere(state, record)) break;
    for (const op of record?.ops ?? []) {
      const map = mapIn(op);
      const contained = map !== undefined && batch <= (state.stamps[map] ?? 0);
      if (!contained || !state.rules.stamps) applyOp(state, op, batch);
      if (!contained || state.rules.carriedDespiteStamp) carryOp(state, op, batch);
    }
    state.last = batch;
  }
  for (const [map, stamp] of state.stamps.entries()) {
    if (stamp > state.last) throw new Corrupt(`map ${map} is of batch ${stamp}`);
  }
  return state.last;
}

function mapIn(op: Op): number | undefined {
  if (op.kind === 'move') return op.map;
  return op.kind === 'checkpoint' ? undefined : mapOf(op.grain);
}

function loadMap(state: State, map: number): GrainMap {
  const { disk, rules } = state;
  const header = newestHeader(state);
  const area = state.areas[map] as number;
  const read = (slot: Side) => {
    const sectors = [];
    for (let part = 0; part < partsPerMap; part++)
      sectors.push(disk.read(mapPlace(area, slot, part)));
    return decodeMap(sectors);
  };
  if (!rules.namedByParent) {
    const slots = ([0, 1] as const).filter((slot) => read(slot) !== undefined);
    slots.sort((a, b) => (read(b)?.stamp ?? 0) - (read(a)?.stamp ?? 0));
    const slot = slots[0];
    const found = slot === undefined ? undefined : read(slot);
    if (slot !== undefined && found) {
      const maps: (MapName | undefined)[] = [...header.maps];
      maps[map] = { area, slot, generation: found.stamp, crc: found.crc };
      state.copies[state.newest] = { ...header, maps };
      return found;
    }
  }
  const name = header.maps[map];
  if (!name) return { stamp: 0, used: new Array<boolean>(grainsPerMap).fill(false) };
  const found = read(name.slot);
  if (found?.crc !== name.crc) throw new Corrupt(`map ${map} is not what the header names`);
  return found;
}

/** The next record of each lane goes behind the last one that was kept. */
function placeLanes(state: State, byBatch: ReadonlyMap<number, LogRecord>): void {
  const first = newestHeader(state).segments[0] ?? 0;
  state.lanes[0] = { segment: first, lane: 0, index: 0 };
  state.lanes[1] = { segment: first, lane: 1, index: 0 };
  const kept = [...byBatch.values()].filter((record) => record.batch <= state.last);
  for (const lane of [0, 1] as const) {
    const inLane = kept.filter((record) => laneOf(record.batch, state.rules) === lane);
    inLane.sort((a, b) => a.batch - b.batch);
    const newest = inLane.at(-1);
    if (newest) passRecord(state, newest);
  }
}

interface Decision {
  readonly clean: boolean;
  /** The record of the last batch, where nothing but this opening says that it was durable. */
  readonly lastRecord: LogRecord | undefined;
  readonly takenBack: readonly LogRecord[];
}

/**
 * The writes of opening; each sync completes before the next write is issued. Where nothing is taken
 * back, the header copy that lags in the end is left to the first commit.
 */
function makeDurable(state: State, { clean, lastRecord, takenBack }: Decision): void {
  const { disk, rules, newest, copies } = state;
  const header = newestHeader(state);
  const differ = !sameContent(copies[other(newest)], header);
  const rewritesHeader = differ && rules.rewriteHeader;
  const rewritten = clean || !rules.rewriteLastBatch ? undefined : lastRecord;
  const rewritesBatch = rewritten !== undefined && rules.confirmAfterSync;
  if (rewritesHeader) disk.write(headerPlace(newest), header);
  if (rewritesBatch) rewriteBatch(state, rewritten);
  if (rewritesHeader || rewritesBatch) disk.sync();
  if (rewritten && !rewritesBatch) rewriteBatch(state, rewritten);
  // Without the rule, the header that says open rides with the first commit after a clean close.
  if (clean && !rules.openAtOnce) return;
  const { epoch, last: confirmed } = state;
  const content: Header = { ...header, clean: false, epoch, confirmed };
  // Never a copy that opening goes by, unless the other one is durable and says the same.
  const first = differ || !rules.newerOfEqual ? other(newest) : newest;
  copies[first] = { ...content, generation: header.generation + 1 };
  disk.write(headerPlace(first), copies[first]);
  disk.sync();
  state.newest = first;
  if (takenBack.length === 0) return;
  // What is taken back is so by the epoch of the first copy, durable now.
  if (rules.blankTakenBack) {
    for (const { position } of takenBack) disk.write(logPlace(position), undefined);
  }
  const second = { ...content, generation: header.generation + 2 };
  disk.write(headerPlace(other(first)), second);
  state.pendingHeaders.push({ copy: other(first), header: second });
  if (!rules.takeBackAtOnce) return;
  disk.sync();
  housekeepingSynced(state);
}

function rewriteBatch(state: State, record: LogRecord): void {
  const { disk } = state;
  for (const { place, sector } of encodeRecord(record)) disk.write(place, sector);
  for (const op of record.ops) {
    if (op.kind !== 'allocate' || op.carried !== undefined) continue;
    const place = placeOf(state, op.grain);
    disk.write(place, disk.read(place));
  }
}
