/**
 * Opening: from a path to the parts of an open store, recovering first where the last process did
 * not close it.
 *
 * Order: lock; choose the header; load what it names; replay the log after it; decide on the last
 * batch; only then, and only when opened for writing, write (`recovery.ts`). A file that is no
 * store, or that is refused, is never written to.
 */

import { corrupt, ioError, isVarveError, systemCode, VarveError } from '../errors.ts';
import type { FileSystem, OpenFileOptions, StorageFile } from '../io/file-system.ts';
import { type OpenedStore, StoreCore } from './core.ts';
import { createStore } from './creation.ts';
import { perform } from './effects.ts';
import { FileReader } from './file-reader.ts';
import { chooseHeader, type HeaderChoice } from './header-choice.ts';
import { loadStore } from './loading.ts';
import type { OpenRequest } from './open-request.ts';
import { recoverFile } from './recovery.ts';

/** Tries of a read-only opening beside a writer that moves the header on meanwhile. */
const readOnlyTriesMax = 20;

/** Opens or makes the store. Rejects as `Store.open`. */
export async function openCore(request: OpenRequest): Promise<StoreCore> {
  request.signal?.throwIfAborted();
  const { path, exclusive, readOnly } = request;
  const create = request.create && !readOnly;
  const file = await openFile(request.fileSystem, path, { create, exclusive, readOnly });
  try {
    const opened = await openLocked(request, file);
    request.signal?.throwIfAborted();
    return new StoreCore(opened);
  } catch (error) {
    // What went wrong first is what counts.
    await Promise.allSettled([file.close()]);
    request.signal?.throwIfAborted();
    throw ioError('opening', path, error);
  }
}

async function openFile(
  fileSystem: FileSystem,
  path: string,
  options: OpenFileOptions,
): Promise<StorageFile> {
  try {
    return await fileSystem.open(path, options);
  } catch (error) {
    throw openError(path, error);
  }
}

function openError(path: string, cause: unknown): VarveError {
  const facts = { path, cause };
  switch (isVarveError(cause) ? undefined : systemCode(cause)) {
    case 'ENOENT':
      return new VarveError('VARVE_NOT_FOUND', `there is no store at '${path}'`, facts);
    case 'EEXIST':
      return new VarveError('VARVE_EXISTS', `'${path}' exists already`, facts);
    case 'EISDIR':
      return new VarveError('VARVE_NOT_A_STORE', `'${path}' is a directory`, facts);
    default:
      return ioError('opening', path, cause);
  }
}

async function openLocked(request: OpenRequest, file: StorageFile): Promise<OpenedStore> {
  const { path, readOnly } = request;
  const reader = new FileReader(file, path, readOnly);
  const choice = chooseHeader(reader);
  if (choice === undefined) {
    if (!request.create || readOnly) {
      const message = `'${path}' is empty, or its creation was cut short`;
      throw new VarveError('VARVE_NOT_FOUND', message, { path });
    }
    await perform(file, createStore());
    const made = chooseHeader(reader);
    if (made === undefined) throw corrupt('the file header is gone', { offset: 0 });
    return loadStore(request, reader, made).opened;
  }
  if (readOnly) return loadBesideWriter(request, reader, choice);
  const loaded = loadStore(request, reader, choice);
  await perform(file, recoverFile(loaded));
  return loaded.opened;
}

/**
 * A writer may move on while its file is read: then the header has changed, and it is read again.
 */
function loadBesideWriter(
  request: OpenRequest,
  reader: FileReader,
  first: HeaderChoice,
): OpenedStore {
  let choice = first;
  for (let tries = 1; ; tries++) {
    try {
      return loadStore(request, reader, choice).opened;
    } catch (error) {
      if (!isVarveError(error, 'VARVE_CORRUPT') || tries === readOnlyTriesMax) throw error;
      const now = chooseHeader(reader);
      if (now === undefined || now.header.generation === choice.header.generation) throw error;
      choice = now;
    }
  }
}
