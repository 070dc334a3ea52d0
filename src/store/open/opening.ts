/**
 * Opens a store: from a path to its parts in memory, with recovery if the last process did not
 * close it.
 *
 * Order: lock, perhaps after a wait (`lock-wait.ts`); choose the header; load the structures;
 * replay the log; decide on the last batch. Only then, and only if opened for writing, write
 * (`recovery.ts`). A file that is no store, or is refused, is never written to. Beside a writer,
 * `reader-loading.ts` repeats the reading steps until they give one state.
 */

import { corrupt, ioError, isVarveError, systemCode, VarveError } from '../../errors.ts';
import type { OpenFileOptions, StorageFile } from '../../io/file-system.ts';
import { perform } from '../file/effects.ts';
import { FileReader } from '../file/file-reader.ts';
import { StoreCore } from '../state/core.ts';
import { recovered, recoveryBegins } from '../watch/store-watch.ts';
import { createStore } from './creation.ts';
import { chooseHeader, cutCreation } from './header-choice.ts';
import { type LoadedStore, loadStore } from './loading.ts';
import { openWhenFree } from './lock-wait.ts';
import type { OpenRequest } from './open-request.ts';
import { loadBesideWriter } from './reader-loading.ts';
import { recoverFile } from './recovery.ts';

/** An open store, and the result of loading it. */
export interface OpenedCore {
  readonly core: StoreCore;
  readonly loaded: LoadedStore;
}

/** Opens or makes the store. Rejects as `Store.open`. */
export async function openCore(request: OpenRequest): Promise<OpenedCore> {
  request.signal?.throwIfAborted();
  const { path, exclusive, readOnly } = request;
  const create = request.create && !readOnly;
  const file = await openFile(request, { create, exclusive, readOnly });
  const begun = recoveryBegins();
  try {
    const loaded = readOnly
      ? await loadBesideWriter(request, file)
      : await openLocked(request, file);
    request.signal?.throwIfAborted();
    const core = new StoreCore(loaded.opened);
    recovered(path, core.recovery, begun);
    return { core, loaded };
  } catch (error) {
    // Report the first error, not one of closing.
    await Promise.allSettled([file.close()]);
    request.signal?.throwIfAborted();
    throw ioError('opening', path, error);
  }
}

async function openFile(request: OpenRequest, options: OpenFileOptions): Promise<StorageFile> {
  const { fileSystem, path, signal } = request;
  try {
    return await openWhenFree(() => fileSystem.open(path, options), request);
  } catch (error) {
    signal?.throwIfAborted();
    throw openError(path, error);
  }
}

/** The error of varve for an error of `FileSystem.open`. */
export function openError(path: string, cause: unknown): VarveError {
  const facts = { path, cause };
  switch (isVarveError(cause) ? undefined : systemCode(cause)) {
    case 'ENOENT':
      return new VarveError('VARVE_NOT_FOUND', `there is no store at '${path}'`, facts);
    case 'EEXIST':
      return new VarveError('VARVE_EXISTS', `'${path}' exists already`, facts);
    case 'EISDIR':
      return new VarveError('VARVE_NOT_A_STORE', `'${path}' is a directory`, facts);
    case 'VARVE_LOCKED':
      return new VarveError('VARVE_LOCKED', `another writer has '${path}'`, facts);
    default:
      return ioError('opening', path, cause);
  }
}

async function openLocked(request: OpenRequest, file: StorageFile): Promise<LoadedStore> {
  const { path } = request;
  const reader = new FileReader(file, path);
  const choice = chooseHeader(reader);
  if (choice === undefined) {
    if (!request.create) throw cutCreation(path);
    await perform(file, createStore());
    const made = chooseHeader(reader);
    if (made === undefined)
      throw corrupt('the file header of a new store cannot be read', { offset: 0 });
    return await perform(file, loadStore(request, reader, made));
  }
  const loaded = await perform(file, loadStore(request, reader, choice));
  await perform(file, recoverFile(loaded));
  return loaded;
}
