/**
 * What rides along with commits: settling maps, preparing log segments, writing headers.
 *
 * Each step is written during one commit and counts as done only after that commit's sync, so every
 * header names only what a completed sync has covered. At most one header write is under way; a
 * header that changes something is followed by its mirror. A step that failed is repeated.
 */

import { DiskError } from './disk.ts';
import {
  encodeMap,
  grainsPerMap,
  type Header,
  headerPlace,
  type MapName,
  mapCount,
  mapCrc,
  type Side,
  sameContent,
  segmentPlaces,
} from './sectors.ts';
import {
  freeSegment,
  headersThatCount,
  newestHeader,
  other,
  placeOf,
  type Settle,
  type State,
} from './state.ts';

/** A settle begins when so many batches are only in the log. */
const settleEvery = 3;

/**
 * Writes the next step of whatever is due; returns whether there was something to write.
 * 'share': one chunk, beside a commit; a write that fails is left for the next time.
 * 'all': as much as can be written before the next sync; a write that fails throws.
 */
export function writeHousekeeping(state: State, how: 'share' | 'all'): boolean {
  const before = state.disk.writeCount;
  try {
    beginSettle(state);
    const wroteHome = writeHome(state);
    if (!wroteHome || how === 'all') writeMaps(state, how);
    fillSegment(state);
    const header = nextHeader(state);
    if (header) writeHeader(state, header);
  } catch (error) {
    if (how === 'all' || !(error instanceof DiskError)) throw error;
  }
  return state.disk.writeCount > before;
}

/** A sync has completed: what was written before it is durable. */
export function housekeepingSynced(state: State): void {
  const { pendingHeaders, filling } = state;
  for (const { copy, header } of pendingHeaders.splice(0)) {
    state.copies[copy] = header;
    state.newest = copy;
  }
  if (state.copying) state.copying.synced = true;
  if (filling) {
    filling.synced = true;
    if (newestHeader(state).segments.includes(filling.segment)) state.filling = undefined;
  }
  const { settle } = state;
  if (!settle) return;
  if (settle.queue.length === 0 && !hasToGoHome(state, settle)) settle.durable = true;
  const named = headersThatCount(state).every((header) => header.base === settle.base);
  if (named) state.settle = undefined;
}

/** The header that should be written now, if any: the mirror of the newest, or a newer one. */
function nextHeader(state: State): Header | undefined {
  if (state.pendingHeaders.length > 0) return undefined;
  const newest = newestHeader(state);
  const older = state.copies[other(state.newest)];
  const generation = newest.generation + 1;
  const reopened = newest.clean && !state.closing;
  if (state.rules.mirror && !reopened && !sameContent(older, newest)) {
    return { ...newest, generation };
  }
  const wanted = wantedHeader(state);
  return sameContent(wanted, newest) ? undefined : { ...wanted, generation };
}

function writeHeader(state: State, header: Header): void {
  const { disk, rules, newest, pendingHeaders } = state;
  disk.write(headerPlace(other(newest)), header);
  pendingHeaders.push({ copy: other(newest), header });
  if (rules.oneHeaderAtATime) return;
  const mirror = { ...header, generation: header.generation + 1 };
  disk.write(headerPlace(newest), mirror);
  pendingHeaders.push({ copy: newest, header: mirror });
}

function beginSettle(state: State): void {
  const { last, rules, closing } = state;
  const { base } = newestHeader(state);
  const due = last - base >= (closing ? 1 : settleEvery);
  if (state.settle || !due) return;
  const queue: number[] = [];
  for (let map = 0; map < mapCount; map++) {
    if ((state.touched[map] ?? 0) > (state.stamps[map] ?? 0)) queue.push(map);
  }
  if (rules.mirror && queue.some((map) => scratchSlot(state, map) === undefined)) return;
  state.settle = { base: last, queue, written: new Map(), durable: false };
  state.settle.durable = queue.length === 0 && !hasToGoHome(state, state.settle);
}

/** Writes the values that records up to the base carry to their grains; true if there were any. */
function writeHome(state: State): boolean {
  const { settle, disk, carried } = state;
  if (!settle || !hasToGoHome(state, settle)) return false;
  for (const [grain, { bytes, batch }] of carried) {
    if (batch > settle.base) continue;
    disk.write(placeOf(state, grain), { kind: 'value', grain, bytes });
    carried.delete(grain);
  }
  return true;
}

function hasToGoHome({ carried, rules }: State, { base }: Settle): boolean {
  return rules.carriedGoHome && [...carried.values()].some(({ batch }) => batch <= base);
}

/** The slot of a map, where it is now, that no header names. */
function scratchSlot(state: State, map: number): Side | undefined {
  const names = headersThatCount(state).map((header) => header.maps[map]);
  const here = names.filter((name) => name?.area === state.areas[map]);
  return ([0, 1] as const).find((slot) => !here.some((name) => name?.slot === slot));
}

function writeMaps(state: State, how: 'share' | 'all'): void {
  const { settle, disk } = state;
  while (settle && settle.queue.length > 0) {
    const map = settle.queue[0] as number;
    const slot = scratchSlot(state, map) as Side;
    const generation = (newestHeader(state).maps[map]?.generation ?? 0) + 1;
    const used = state.used.slice(map * grainsPerMap, (map + 1) * grainsPerMap);
    const content = { stamp: state.last, used };
    const area = state.areas[map] as number;
    const name: MapName = { area, slot, generation, crc: mapCrc(generation, content) };
    for (const { place, sector } of encodeMap(map, name, content)) disk.write(place, sector);
    settle.queue.shift();
    settle.written.set(map, { name, stamp: content.stamp });
    state.stamps[map] = content.stamp;
    if (how === 'share') return;
  }
}

/** Zero-fills the next log segment as soon as the last one is in use. */
function fillSegment(state: State): void {
  if (state.filling || state.closing) return;
  const lastListed = newestHeader(state).segments.at(-1);
  if (!state.lanes.some((position) => position.segment === lastListed)) return;
  const segment = freeSegment(state);
  for (const place of segmentPlaces(segment)) state.disk.write(place, undefined);
  state.filling = { segment, synced: false };
  state.lastIn.delete(segment);
}

function wantedHeader(state: State): Header {
  const { settle, filling, rules, last, closing } = state;
  const newest = newestHeader(state);
  const maps = [...newest.maps];
  let { base } = newest;
  const isWritten = settle && settle.queue.length === 0 && !hasToGoHome(state, settle);
  const settled = isWritten && (settle.durable || !rules.settleInSteps);
  if (settled && settle.base > base) {
    base = settle.base;
    for (const [map, { name }] of settle.written) maps[map] = name;
  }
  const clean = closing && base === last;
  const epoch = clean && newest.clean ? newest.epoch : state.epoch;
  const segments = newest.segments.filter((segment) => isNeeded(state, segment, base));
  const ready = filling && (filling.synced || !rules.zeroFilledFirst);
  if (ready && !closing && !segments.includes(filling.segment)) segments.push(filling.segment);
  const { checkpoint } = state;
  return { ...newest, base, maps, segments, epoch, confirmed: last, checkpoint, clean };
}

/** Whether a header of this base has to list the segment. */
function isNeeded(state: State, segment: number, base: number): boolean {
  if (state.lanes.some((position) => position.segment === segment)) return true;
  const floor = state.rules.keepUncheckpointed ? Math.min(base, state.checkpoint) : base;
  return (state.lastIn.get(segment) ?? Number.POSITIVE_INFINITY) > floor;
}
