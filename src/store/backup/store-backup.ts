/**
 * `Store.backupTo`: its options and their check, and the source that suits the store.
 *
 * Invariant: options are checked before anything is read or written, and a source exists only while
 * the operation runs. The work is in `backup.ts`.
 */

import type { FileSystem } from '../../io/file-system.ts';
import {
  checkOperation,
  type LongOperation,
  longOperationNames,
} from '../../util/operations/long-operation.ts';
import type { Operations } from '../../util/operations/operations.ts';
import { checkFlag, checkNames } from '../../util/options.ts';
import { checkPath, fileSystemOf } from '../open/store-options.ts';
import type { StoreReader } from '../readers/store-reader.ts';
import type { StoreCore } from '../state/core.ts';
import { type BackupReport, backUp } from './backup.ts';
import { WriterSource } from './backup-source.ts';
import { ReaderSource } from './reader-source.ts';

export interface BackupOptions extends LongOperation {
  /** Replace a file that has the name. Default false: `VARVE_EXISTS`. */
  overwrite?: boolean | undefined;
  /** The file system of the copy; it must have `rename`. Default: `nodeFileSystem`. */
  fileSystem?: FileSystem | undefined;
}

/** Rejects as `Store.backupTo`. `reader`: if the store was opened read-only. */
export async function backUpStore(
  operations: Operations,
  core: StoreCore,
  reader: StoreReader | undefined,
  { path, options }: { readonly path: unknown; readonly options: BackupOptions },
): Promise<BackupReport> {
  checkNames('Store.backupTo', options, { ...longOperationNames, ...ownNames });
  const overwrite = checkFlag('overwrite', options.overwrite, false);
  const fileSystem = fileSystemOf(options.fileSystem);
  const target = { path: checkPath(path), overwrite, fileSystem };
  return await operations.run(checkOperation(options), async (operation) => {
    const source = reader === undefined ? new WriterSource(core) : new ReaderSource(reader);
    return await backUp(target, source, operation);
  });
}

const ownNames = { overwrite: true, fileSystem: true } as const;
