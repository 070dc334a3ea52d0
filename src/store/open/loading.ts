/**
 * Loads the structures that the chosen file header names, and the commit log after them, into the
 * parts of an open store.
 *
 * Invariant: it writes nothing, so a file that fails here is unchanged. It reads the root, the
 * basins, the unsettled end of the log, and of grain maps only those that this log touches.
 */

import { corrupt, isVarveError } from '../../errors.ts';
import { decodeBasin, type StratumEntry } from '../../format/basin.ts';
import { type DocumentName, slotPage } from '../../format/document.ts';
import type { FileHeader } from '../../format/file-header.ts';
import { headerCopies, kindBasin, pageBytes } from '../../format/layout.ts';
import type { Root } from '../../format/root.ts';
import { readSeal } from '../../format/seal.ts';
import type { Steps } from '../file/effects.ts';
import type { FileReader } from '../file/file-reader.ts';
import { Space } from '../file/space.ts';
import { reservePagesFor } from '../file/space-shares.ts';
import { Atlas } from '../grains/atlas.ts';
import { Stratum } from '../grains/stratum.ts';
import { CommitLog, type LogSegment, laneRange, recordBytes } from '../log/commit-log.ts';
import { RetainedHistory } from '../log/log-history.ts';
import { type LogScan, type ScannedRecord, scanLog } from '../log/log-scan.ts';
import { type LoadedDocument, readDocument, readRoot } from '../log/settled-root.ts';
import { HeaderCopies } from '../settle/header-copies.ts';
import type { Published } from '../settle/settle.ts';
import type { OpenedStore } from '../state/core.ts';
import { usedExtents } from '../state/extents.ts';
import { ValueReader } from '../values/value-reader.ts';
import type { HeaderChoice } from './header-choice.ts';
import type { OpenRequest } from './open-request.ts';
import { applyRecord, type Replayed, type ReplayParts, replayLog } from './replay.ts';

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
  const values = new ValueReader(reader, request.cacheBytes);
  const space = new Space(reservePagesFor);
  const atlas = new Atlas(reader, space, request.limits);
  const healed = [...choice.healed];
  const { root, stamp } = readRoot(reader, header);
  const checkpoint = (): number => header.checkpoint;
  const retained = { log: { segments: root.segments }, checkpoint };
  const history = new RetainedHistory(reader, header.base, retained, healed);
  reader.history = history;
  const parts = { reader, values, atlas, rootStamp: stamp };
  const oldest = loadBasins(atlas, reader, root);
  if (oldest < header.base) yield* catchUp(parts, history, oldest);
  // Maps that these records drop were freed by the settle that made the base.
  atlas.left([...atlas.leaving]);
  const scan = scanned ?? (yield* scanLog(reader, header));
  const kept: ScannedRecord[] = [];
  const costs: { bytes: number; operations: number }[] = [];
  const replayed = yield* replayLog(parts, scan.records, header.confirmed, ({ found, record }) => {
    kept.push(found);
    costs.push({ bytes: recordBytes(found.head), operations: record.operations.length });
  });
  const log = restoreLog(header, root, kept, replayed);
  for (const { bytes, operations } of costs) log.addToReplay(bytes, operations);
  const published = publishedAs(header, replayed);
  history.retained = { log, checkpoint };
  space.rebuild(usedExtents(header.root, atlas, log), reader.length());
  space.doubtGrowth();
  const { path, readOnly, settleBytes } = request;
  const opened: OpenedStore = {
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
    settleBytes,
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

/** Loads the basins; returns the oldest stamp of a healed basin, infinity without one. */
function loadBasins(atlas: Atlas, reader: FileReader, root: Root): number {
  let oldest = Number.POSITIVE_INFINITY;
  for (const [basin, name] of root.basins.entries()) {
    // No settle has written this basin yet: the log adds its strata.
    if (name.generation === 0) {
      atlas.addBasin(true);
      continue;
    }
    const { entries, stamp, healed } = readBasin(reader, name);
    if (healed) oldest = Math.min(oldest, stamp);
    const strata = entries.map(
      (entry, number) => new Stratum({ basin, number, durable: true }, entry, reader),
    );
    // A healed basin is next written to the damaged slot, not over the good one.
    const generation = name.generation + (healed ? 1 : 0);
    atlas.adopt({ name: { ...name, generation }, durable: true, dirty: healed, stamp, strata });
  }
  return oldest;
}

interface LoadedBasin {
  readonly entries: readonly StratumEntry[];
  readonly stamp: number;
}

/**
 * A basin as named. If that is damaged, its previous generation, provided that the log since is
 * retained.
 */
function readBasin(
  reader: FileReader,
  name: DocumentName,
): LoadedBasin & { readonly healed: boolean } {
  try {
    return { ...basinIn(readDocument(reader, kindBasin, name)), healed: false };
  } catch (error) {
    const twin = isVarveError(error, 'VARVE_CORRUPT') ? readTwin(reader, name) : undefined;
    if (twin === undefined || reader.history.after(twin.stamp) === undefined) throw error;
    const offset = slotPage(name.page, name.capacityPages, name.generation) * pageBytes;
    reader.history.healed(`a basin, at byte ${offset}, was damaged`);
    return { ...twin, healed: true };
  }
}

function basinIn({ bytes, offset, stamp }: LoadedDocument): LoadedBasin {
  return { entries: decodeBasin(bytes, offset).strata, stamp };
}

/** The previous generation; before the first one the basin was empty. */
function readTwin(reader: FileReader, name: DocumentName): LoadedBasin | undefined {
  const generation = name.generation - 1;
  if (generation === 0) return { entries: [], stamp: 0 };
  const page = slotPage(name.page, name.capacityPages, generation);
  const offset = page * pageBytes;
  const bytes = reader.bytes(offset, name.capacityPages * pageBytes);
  const found = readSeal(bytes, { kind: kindBasin, page }, reader.salt);
  if (typeof found === 'string' || found.seal.generation !== generation) return undefined;
  const { length, stamp } = found.seal;
  return basinIn({ bytes: bytes.subarray(0, length), offset, stamp });
}

/**
 * Applies the log up to the base to healed basins. Maps that it drops are not read: their pages may
 * have been reused.
 */
function* catchUp(parts: ReplayParts, history: RetainedHistory, oldest: number): Steps<void> {
  for (const { operations } of history.after(oldest) ?? []) {
    for (const one of operations) {
      if (one.operation !== 'drop-map') continue;
      parts.atlas.stratum(one.basin, one.stratum)?.willDrop(one.firstIndex);
    }
  }
  for (const record of history.after(oldest) ?? []) yield* applyRecord(parts, record);
}

// ── the log ──

/** The log for its writer. */
function restoreLog(
  header: FileHeader,
  root: Root,
  kept: readonly ScannedRecord[],
  { last }: Replayed,
): CommitLog {
  const listed = header.segments.map((extent): LogSegment => {
    const known = root.segments.find(({ page }) => page === extent.page);
    const first = kept.find(({ segment }) => segment === extent);
    return { ...extent, firstBatch: known?.firstBatch ?? first?.batch ?? 0 };
  });
  const currentAt = last === undefined ? 0 : header.segments.indexOf(last.found.segment);
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
    retainedBytes: retainedBytes(header, last),
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
function isClean({ header }: HeaderChoice, scan: LogScan): boolean {
  if (scan.written) return false;
  return header.clean || (header.generation <= headerCopies && header.epoch === 1);
}
