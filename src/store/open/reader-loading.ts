/**
 * Loads a store beside a writer that may commit and settle meanwhile: repeats the reading steps
 * until they give one state. Reads only.
 *
 * Invariant: the result is the state after one batch that was whole in the file at or after the
 * call. All structures are named by checksum, and records are whole and consecutive, so any state
 * that loads is consistent. A failure is damage only if the writer cannot have caused it:
 *
 * 1. If the header has changed, it starts again: only after that slots and log segments are reused.
 * 2. A missing record before a later one may have been written between the two reads: a second scan
 *    must find every record up to the highest that the first one saw.
 * 3. A sector, or a last batch, that is not whole may be half written: it is read again.
 */

import { isVarveError, type VarveError } from '../../errors.ts';
import type { FileHeader } from '../../format/file-header.ts';
import type { StorageFile } from '../../io/file-system.ts';
import { present } from '../../util/assert.ts';
import { Breather } from '../../util/breather.ts';
import { inTurns, perform } from '../file/effects.ts';
import { FileReader } from '../file/file-reader.ts';
import { type LogScan, scanBesideWriter } from '../log/log-scan.ts';
import { chooseHeader, cutCreation, type HeaderChoice } from './header-choice.ts';
import { type LoadedStore, loadStore } from './loading.ts';
import type { OpenRequest } from './open-request.ts';

/** Headers tried while the writer moves on. */
const headersMax = 1000;
/** Tries in which a newer settled state is preferred to the loaded one. */
const newerMax = 8;
/** Failures with the same header before they are damage. */
const failuresMax = 3;
/** Reads of half-written sectors, most of them after a pause. */
const scansMax = 20;
const scansWithoutPause = 8;
const pauseMs = 4;

/** Throws `VARVE_CORRUPT`, `VARVE_IO`, `VARVE_NOT_FOUND`, and the errors of `chooseHeader`. */
export async function loadBesideWriter(
  request: OpenRequest,
  file: StorageFile,
): Promise<LoadedStore> {
  let generation = -1;
  let failures = 0;
  let takenBack: LoadedStore | undefined;
  const breather = Breather.chasing();
  for (let tries = 1; ; tries++) {
    request.signal?.throwIfAborted();
    const reader = new FileReader(file, request.path);
    const choice = await settledChoice(reader);
    if (choice === undefined) throw cutCreation(request.path);
    const { header } = choice;
    if (header.generation !== generation) failures = 0;
    generation = header.generation;
    try {
      reader.salt = header.salt;
      const scan = await scanned(reader, header, breather);
      const loaded = await perform(file, loadStore(request, reader, choice, scan), breather);
      reader.newerThan = header.base;
      const isOld = tries < newerMax && chooseHeader(reader)?.header.base !== header.base;
      if (!isOld && (isKept(loaded, takenBack) || tries === headersMax)) return loaded;
      takenBack = loaded;
    } catch (error) {
      failures += 1;
      if (!isVarveError(error, 'VARVE_CORRUPT') || tries === headersMax) throw error;
      if (failures === failuresMax) throw error;
    }
    await new Breather().turn();
  }
}

/** A last batch that was taken back may have been half written: the same result is needed twice. */
function isKept({ replayed }: LoadedStore, before: LoadedStore | undefined): boolean {
  if (replayed.reverted === undefined) return true;
  const other = before?.replayed.reverted;
  return other?.batch === replayed.reverted.batch && other.sector === replayed.reverted.sector;
}

/** Chooses the header; a copy that seems damaged may be half written and is read again. */
async function settledChoice(reader: FileReader): Promise<HeaderChoice | undefined> {
  for (let tries = 1; ; tries++) {
    try {
      const choice = chooseHeader(reader);
      if (choice === undefined || choice.healed.length === 0) return choice;
      if (tries === failuresMax) return choice;
    } catch (error) {
      if (!isVarveError(error, 'VARVE_CORRUPT') || tries === failuresMax) throw error;
    }
    await new Breather().turn();
  }
}

/** The consecutive records of the log as of one moment. Throws `VARVE_CORRUPT`, `VARVE_IO`. */
async function scanned(
  reader: FileReader,
  header: FileHeader,
  breather: Breather,
): Promise<LogScan> {
  let seen = header.confirmed;
  let problem: VarveError | undefined;
  for (let tries = 1; tries <= scansMax; tries++) {
    const found = await inTurns(scanBesideWriter(reader, header), breather);
    const { rotten, gap, last, highest, ...scan } = found;
    const isWhole = gap === undefined || (tries > 1 && last >= seen);
    if (isWhole && rotten === undefined) return scan;
    seen = Math.max(seen, highest);
    problem = rotten ?? gap;
    // Waiting does not help: a missing record was durable before the later one was written.
    if (rotten === undefined && tries > 1) break;
    if (tries > scansWithoutPause) await pause();
    else await new Breather().turn();
  }
  throw present(problem, 'the reason for another scan');
}

function pause(): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, pauseMs);
  });
}
