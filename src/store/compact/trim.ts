/**
 * Gives the free pages within the file back to the file system, which makes holes of them.
 *
 * Invariant: a stretch is in use while it is being trimmed, so no value is written there meanwhile.
 * Afterwards it counts as never written: on a full disk a later write there may be refused. The
 * reserve keeps its pages. A system that cannot make holes refuses the first call.
 */

import { ioError, systemCode } from '../../errors.ts';
import { pageBytes } from '../../format/layout.ts';
import type { RunningOperation } from '../../util/operations/running-operation.ts';
import type { StoreCore } from '../state/core.ts';

/** Bytes of one call: others can be read and written between two. */
const pieceBytes = 16 * 1024 * 1024;
/** Codes of a file system that cannot make holes. */
const unsupported: ReadonlySet<string> = new Set(['EOPNOTSUPP', 'ENOTSUP', 'ENOSYS', 'EINVAL']);

export interface TrimReport {
  readonly trimmedBytes: number;
}

/** Rejects with `VARVE_IO`, and if it is stopped. */
export async function trimFree(core: StoreCore, operation: RunningOperation): Promise<TrimReport> {
  const { lent, path, reader, space, writer } = core;
  const { file } = reader;
  let trimmedBytes = 0;
  const report = (): void => {
    operation.report({ phase: 'trimming', done: trimmedBytes, total: undefined, unit: 'bytes' });
  };
  report();
  if (file.trim === undefined) return { trimmedBytes };
  for (const { page, pages } of [...space.freeStretches()]) {
    if (!space.takeAt(page, pages)) continue;
    const loan = lent.lend([{ page, pages }]);
    try {
      const end = Math.min((page + pages) * pageBytes, reader.length());
      for (let at = page * pageBytes; at < end; at += pieceBytes) {
        const bytes = Math.min(pieceBytes, end - at);
        await operation.spend(bytes);
        await file.trim(at, bytes);
        writer.known.forget();
        trimmedBytes += bytes;
        report();
        await operation.breathe();
      }
    } catch (error) {
      if (unsupported.has(systemCode(error) ?? '')) return { trimmedBytes };
      throw isStop(operation, error) ? error : ioError('trimming', path, error);
    } finally {
      loan.giveBack();
    }
  }
  return { trimmedBytes };
}

/** True if the operation was stopped: its reason is thrown as it is. */
function isStop(operation: RunningOperation, error: unknown): boolean {
  try {
    operation.check();
    return false;
  } catch (reason) {
    return reason === error;
  }
}
