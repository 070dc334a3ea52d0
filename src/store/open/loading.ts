/**
 * Loads the structures that the chosen file header names, and the commit log after them, into the
 * parts of an open store.
 *
 * Invariant: it writes nothing, so a file that fails here is unchanged. It reads the root, the
 * basins, the unsettled end of the log, and of grain maps only those that this log touches.
 */

import { corrupt } from '../../errors.ts';
import { decodeBasin, type StratumEntry } from '../../format/basin.ts';
import { type DocumentName, slotPage } from '../../format/document.ts';
import type { FileHeader } from '../../format/file-header.ts';
import { headerCopies, kindBasin, newStorePages, pageBytes } from '../../format/layout.ts';
import type { LogRecord, ReplacedMap } from '../../format/log-record.ts';
import type { Root } from '../../format/root.ts';
import { openSealed } from '../../format/seal.ts';
import { assert } from '../../util/assert.ts';
import { pause, type Steps } from '../file/effects.ts';
import type { FileReader } from '../file/file-reader.ts';
import { Space } from '../file/space.ts';
import { reservePagesFor } from '../file/space-shares.ts';
import { readOrHeal, type TwoSlots } from '../file/twins.ts';
import { Atlas } from '../grains/atlas.ts';
import { BasinState } from '../grains/basin-state.ts';
import { Stratum } from '../grains/stratum.ts';
import { CommitLog, type LogSegment, laneRange, recordBytes } from '../log/commit-log.ts';
import { RetainedHistory } from '../log/log-history.ts';
import { type LogScan, type ScannedRecord, scanLog } from '../log/log-scan.ts';
import { readRoot } from '../log/settled-root.ts';
import { HeaderCopies } from '../settle/header-copies.ts';
import type { Published } from '../settle/settle.ts';
import type { OpenedStore } from '../state/core.ts';
import { usedExtents } from '../state/extents.ts';
import { ValueReader } from '../values/value-reader.ts';
import type { HeaderChoice } from './header-choice.ts';
import { carriedBytesMax, type OpenRequest } from './open-request.ts';
import { applyRecord, type Replayed, type ReplayParts, replacedIn, replayLog } from './replay.ts';

/** The result of opening before it writes anything. */
export interface LoadedStore {
  readonly opened: OpenedStore;
  readonly choice: HeaderChoice;
  readonly replayed: Replayed;
  /** Records after the last kept batch: they are or were taken back. */
  readonly after: readonly ScannedRecord[];
}

/** `scanned`: the log, if it has been scanned already. Throws `VARVE_CORRUPT`, `VARVE_IO`. */
export function* loadStore(
  request: OpenRequest,
  reader: FileReader,
  choice: HeaderChoice,
  scanned?: LogScan,
): Steps<LoadedStore> {
  const { header } = choice;
  reader.salt = header.salt;
  const values = new ValueReader(reader, request.budget);
  const space = new Space(reservePagesFor);
  const atlas = new Atlas(reader, space, request.limits, request.budget);
  const healed = [...choice.healed];
  const { root, stamp } = readRoot(reader, header);
  const settledAt = { base: header.base, settled: stamp };
  const checkpoint = (): number => header.checkpoint;
  const retained = { log: { segments: root.segments }, checkpoint };
  const history = new RetainedHistory(reader, settledAt, retained, healed);
  reader.history = history;
  const parts = { reader, values, atlas, rootStamp: stamp };
  const healedBasins = loadBasins(atlas, reader, root);
  if (healedBasins.lacking !== undefined) yield* catchUp(parts, healedBasins);
  // Maps that these records drop were freed by the settle that made the base.
  atlas.left([...atlas.leaving]);
  const scan = scanned ?? (yield* scanLog(reader, header));
  const kept: ScannedRecord[] = [];
  const costs: { bytes: number; operations: number }[] = [];
  const replayed = yield* replayLog(parts, scan.records, header.confirmed, ({ found, record }) => {
    kept.push(found);
    costs.push({ bytes: recordBytes(found.head), operations: record.operations.length });
  });
  for (const stratum of atlas.strata()) stratum.pages.checkHealed();
  const log = restoreLog(header, root, { kept, replayed, fileBytes: reader.length() });
  for (const { bytes, operations } of costs) log.addToReplay(bytes, operations);
  const published = publishedAs(header, replayed);
  assert(published.currentBatch === header.base + kept.length, 'each batch is replayed once');
  history.retained = { log, checkpoint };
  history.logReplayed();
  space.rebuild(usedExtents(header.root, atlas, log), reader.length());
  space.doubtGrowth();
  const { fileSystem, path, readOnly, settleBytes, budget } = request;
  const opened: OpenedStore = {
    fileSystem,
    path,
    readOnly,
    reader,
    values,
    atlas,
    space,
    log,
    headers: restoreHeaders(choice),
    published,
    history,
    isNew: isNew(choice) && reader.length() === newStorePages * pageBytes,
    settleBytes,
    budget,
    carriedBytes: request.limits.carriedBytes ?? carriedBytesMax,
    nextEpoch: nextEpoch(choice, scan),
    recovery: {
      clean: isClean(choice, scan),
      revertedBatch: replayed.reverted?.batch,
      replayedBatches: kept.length,
      healed,
    },
  };
  const { currentBatch } = opened.published;
  const after = scan.found.filter(({ batch }) => batch > currentBatch);
  return { opened, choice, replayed, after };
}

// ── structures ──

interface HealedBasins {
  readonly basins: readonly BasinState[];
  /** The records that these, and what they name, may lack; undefined if there are none. */
  readonly lacking: Iterable<LogRecord> | undefined;
}

/** Loads the basins. Returns those that were healed. */
function loadBasins(atlas: Atlas, reader: FileReader, root: Root): HealedBasins {
  let allLacking: Iterable<LogRecord> | undefined;
  const healed: BasinState[] = [];
  for (const [basin, name] of root.basins.entries()) {
    // No settle has written this basin yet: the log adds its strata.
    if (name.generation === 0) {
      atlas.addBasin(true);
      continue;
    }
    const { content, stamp, lacking } = readOrHeal(basinNamed(name, reader), reader);
    const isHealed = lacking !== undefined;
    allLacking ??= lacking;
    const strata = content.map(
      (entry, number) =>
        new Stratum({ basin, number, durable: true }, entry, reader, atlas.loadedPages),
    );
    // A healed basin is next written to the damaged slot, not over the good one.
    const generation = name.generation + (isHealed ? 1 : 0);
    const sealed = { name: { ...name, generation }, stamp };
    const state = new BasinState(strata, { durable: true, dirty: isHealed, sealed });
    if (isHealed) healed.push(state);
    atlas.adopt(state);
  }
  return { basins: healed, lacking: allLacking };
}

function basinNamed(name: DocumentName, reader: FileReader): TwoSlots<readonly StratumEntry[]> {
  const { page: first, capacityPages } = name;
  return {
    what: 'a basin',
    kind: kindBasin,
    name,
    unwritten: [],
    isParent: true,
    pageOf: (generation) => slotPage(first, capacityPages, generation),
    read: (page, isNamed = false) =>
      isNamed ? reader.bytes(page * pageBytes, name.length) : reader.readPages(page, capacityPages),
    open: (bytes, { page, generation, crc }) => {
      const as = { kind: kindBasin, page, generation, crc };
      const { length, stamp } = openSealed(bytes, as, reader.salt);
      return { content: decodeBasin(bytes.subarray(0, length), page * pageBytes).strata, stamp };
    },
  };
}

/**
 * Applies the log up to the base to healed basins and what they name. Maps that it drops are not
 * read: their pages may have been reused. Those that replace a map are read where a settle
 * has written their marks.
 */
function* catchUp(
  parts: ReplayParts,
  { basins, lacking: records = [] }: HealedBasins,
): Steps<void> {
  const { atlas } = parts;
  const added: { readonly batch: number; readonly one: ReplacedMap }[] = [];
  for (const { batch, operations } of records) {
    for (const one of operations) {
      if (one.operation === 'drop-map') {
        atlas.stratum(one.basin, one.stratum)?.willDrop(one.firstIndex);
      } else if (one.operation === 'replace-map' && batch > (atlas.basins[one.basin]?.stamp ?? 0)) {
        const found = replacedIn(atlas, one, batch);
        if (found === undefined) added.push({ batch, one });
        else found.stratum.moves.placeParts(found.map, one.parts, batch);
      }
    }
  }
  for (const { strata, stamp } of basins) {
    for (const stratum of strata) {
      for (const map of stratum.maps) {
        stratum.basinHealed(map, stamp);
        yield pause;
      }
    }
  }
  for (const record of records) yield* applyRecord(parts, record);
  // Then the moves of maps that these records add.
  for (const { batch, one } of added) {
    const found = replacedIn(atlas, one, batch);
    found?.stratum.moves.placeParts(found.map, one.parts, batch);
  }
  for (const stratum of atlas.strata()) stratum.moves.countPlaced();
}

// ── the log ──

/** The log for its writer. */
function restoreLog(
  header: FileHeader,
  root: Root,
  found: {
    readonly kept: readonly ScannedRecord[];
    readonly replayed: Replayed;
    readonly fileBytes: number;
  },
): CommitLog {
  const { kept, fileBytes } = found;
  const { last } = found.replayed;
  const listed = header.segments.map((extent): LogSegment => {
    const known = root.segments.find(({ page }) => page === extent.page);
    const first = kept.find(({ segment }) => segment === extent);
    return { ...extent, firstBatch: known?.firstBatch ?? first?.batch ?? 0 };
  });
  const currentAt = last === undefined ? 0 : header.segments.indexOf(last.found.segment);
  assert(currentAt >= 0, 'the last record is in a segment that the header lists');
  const older = root.segments.filter(({ page }) => listed.every((one) => one.page !== page));
  const segments = [...older.map((entry) => ({ ...entry })), ...listed.slice(0, currentAt + 1)];
  const next = listed[currentAt + 1];
  const bodies = kept.flatMap(({ batch, head }) =>
    head.extent === undefined ? [] : [{ ...head.extent, batch }],
  );
  return new CommitLog({
    segments,
    next: next === undefined ? undefined : { ...next, firstBatch: 0 },
    positions: [0, 1].map((lane) => lanePosition(header, kept, currentAt, lane)) as [
      number,
      number,
    ],
    bodies: [...root.bodies, ...bodies],
    // More is not in the file, whatever the number in it says.
    retainedBytes: Math.min(retainedBytes(header, last), fileBytes),
  });
}

/** Sector after the last kept record in this lane of the current segment. */
function lanePosition(
  header: FileHeader,
  kept: readonly ScannedRecord[],
  currentAt: number,
  lane: number,
): number {
  const current = header.segments[currentAt];
  if (current === undefined) throw corrupt('the file header lists no segment', { offset: 0 });
  const range = laneRange(current, lane);
  let position = currentAt === 0 ? (header.laneSectors[lane] as number) : range.from;
  for (const { segment, sector, head } of kept) {
    if (segment !== current || sector < range.from || sector >= range.to) continue;
    position = Math.max(position, sector + head.sectors);
  }
  return position;
}

function retainedBytes(header: FileHeader, last: Replayed['last']): number {
  if (last === undefined) return header.retainedLogBytes;
  return last.record.retainedLogBytes + recordBytes(last.found.head);
}

// ── the rest ──

function publishedAs(header: FileHeader, { last }: Replayed): Published {
  if (last === undefined) {
    const { base, checkpoint, embeddedHeader } = header;
    return { currentBatch: base, checkpoint, embeddedHeader };
  }
  const { batch, checkpoint, embeddedHeader } = last.record;
  return { currentBatch: batch, checkpoint, embeddedHeader };
}

function restoreHeaders({ copy, header, other }: HeaderChoice): HeaderCopies {
  const { salt, generation, confirmed: _, segments, epoch, clean, ...settled } = header;
  const generations = [generation, generation];
  generations[1 - copy] = other?.generation ?? 0;
  const content = { settled, segments, epoch, clean };
  return new HeaderCopies(salt, content, generations as [number, number]);
}

function nextEpoch({ header, other }: HeaderChoice, scan: LogScan): number {
  return Math.max(header.epoch, other?.epoch ?? 0, scan.epochMax) + 1;
}

/** The last process closed the store, or it is new. */
function isClean(choice: HeaderChoice, scan: LogScan): boolean {
  if (scan.written) return false;
  return choice.header.clean || isNew(choice);
}

function isNew({ header }: HeaderChoice): boolean {
  return header.generation <= headerCopies && header.epoch === 1;
}
