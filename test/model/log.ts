/**
 * Reading the commit log: which records are in the listed segments, and which of them count.
 *
 * Every sector is whole, blank or rotten; a record is whole when all its sectors are of one attempt.
 * Decides nothing about values; that is for `opening.ts`.
 */

import type { Disk } from './disk.ts';
import type { Rules } from './rules.ts';
import {
  type Header,
  type LogPosition,
  type LogRecord,
  type LogSector,
  laneSectors,
  logPlace,
  type Op,
  opsCrc,
} from './sectors.ts';
import { Corrupt } from './state.ts';

export interface ScannedLog {
  /** Every whole record, also those that do not count. */
  readonly records: readonly LogRecord[];
  /** The highest epoch in any sector, whole record or not. */
  readonly topEpoch: number;
}

export function scanLog(disk: Disk, segments: readonly number[], rules: Rules): ScannedLog {
  const records: LogRecord[] = [];
  let topEpoch = 0;
  for (const segment of segments) {
    for (const lane of [0, 1] as const) {
      for (let index = 0; index < laneSectors; index++) {
        const position = { segment, lane, index };
        const sector = readLogSector(disk, position);
        if (!sector) continue;
        topEpoch = Math.max(topEpoch, sector.epoch);
        const record = sector.index === 0 ? assemble(disk, sector, position, rules) : undefined;
        if (record) records.push(record);
      }
    }
  }
  return { records, topEpoch };
}

/** The records that count, by batch. */
export function recordsByBatch(
  records: readonly LogRecord[],
  header: Header,
  rules: Rules,
): Map<number, LogRecord> {
  const byBatch = new Map<number, LogRecord>();
  for (const record of records) {
    const takenBack = record.batch > header.confirmed && record.epoch < header.epoch;
    if (rules.epoch && takenBack) continue;
    const rival = byBatch.get(record.batch);
    if (rival && (!rules.newestAttempt || rival.epoch > record.epoch)) continue;
    byBatch.set(record.batch, record);
  }
  return byBatch;
}

/** The last batch that the log reaches without a gap. */
export function lastOfTail(
  byBatch: ReadonlyMap<number, LogRecord>,
  header: Header,
  rules: Rules,
): number {
  let last = header.base;
  while (byBatch.has(last + 1)) last++;
  const beyond = [...byBatch.keys()].find((batch) => batch > last);
  if (rules.gapIsCorrupt && beyond !== undefined) {
    throw new Corrupt(`record ${last + 1} is missing before ${beyond}`);
  }
  if (rules.confirmedIsKept && last < header.confirmed) {
    throw new Corrupt(`record ${last + 1} is missing, confirmed is ${header.confirmed}`);
  }
  return last;
}

function readLogSector(disk: Disk, position: LogPosition): LogSector | undefined {
  const place = logPlace(position);
  const sector = disk.read(place);
  if (sector === undefined) return undefined;
  if (sector.kind !== 'log' || sector.place !== place) throw new Corrupt(`${place} is rotten`);
  return sector;
}

/** The record that begins here, where it is whole. */
function assemble(
  disk: Disk,
  head: LogSector,
  position: LogPosition,
  rules: Rules,
): LogRecord | undefined {
  const ops: Op[] = [];
  for (let index = 0; index < head.sectorCount; index++) {
    const sector = readLogSector(disk, { ...position, index: position.index + index });
    if (!sector || sector.batch !== head.batch || sector.epoch !== head.epoch) return undefined;
    if (sector.index !== index) return undefined;
    ops.push(...sector.ops);
  }
  if (rules.bodyCrc && opsCrc(ops) !== head.bodyCrc) return undefined;
  const { batch, epoch, sectorCount } = head;
  return { batch, epoch, ops, sectorCount, position };
}
