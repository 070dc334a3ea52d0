/**
 * The file of a copy: written under another name, synced, then renamed.
 *
 * Invariants:
 * - The final name leads to a complete and durable copy, or to what it led to before.
 * - The writer's lock of the unfinished file is held until it has its final name, and that of a
 *   file that it replaces too: no other backup and no other writer has either meanwhile.
 * - A failed copy leaves neither name nor lock behind.
 *
 * It knows nothing of the content.
 */

import {
  existsError,
  invalidArgument,
  ioError,
  isVarveError,
  systemCode,
  VarveError,
} from '../../errors.ts';
import type { FileSystem, OpenFileOptions, StorageFile } from '../../io/file-system.ts';
import { openError } from '../open/opening.ts';

/** The file system and path of a store. */
export interface StoreFile {
  readonly fileSystem: FileSystem;
  readonly path: string;
}

export interface TargetRequest extends StoreFile {
  readonly overwrite: boolean;
}

type Rename = NonNullable<FileSystem['rename']>;

const writing: OpenFileOptions = { create: true, exclusive: false, readOnly: false };
/** Openings of the unfinished file while others keep making and removing it. */
const openingsMax = 10;

export class TargetFile {
  readonly #request: TargetRequest;
  readonly #rename: Rename;
  readonly #partial: string;
  readonly #file: StorageFile;
  /** The file that is replaced, locked. */
  readonly #replaced: StorageFile | undefined;

  private constructor(
    request: TargetRequest,
    rename: Rename,
    files: { readonly file: StorageFile; readonly replaced: StorageFile | undefined },
  ) {
    this.#request = request;
    this.#rename = rename;
    this.#partial = partialPath(request.path);
    this.#file = files.file;
    this.#replaced = files.replaced;
  }

  /**
   * Makes the empty file. Rejects with `VARVE_INVALID_ARGUMENT` if it would be `store` itself, or
   * without `rename`; with `VARVE_EXISTS`, `VARVE_LOCKED`, `VARVE_NOT_A_STORE`, `VARVE_IO`.
   */
  static async create(request: TargetRequest, store: StoreFile): Promise<TargetFile> {
    const { fileSystem, path } = request;
    const rename = fileSystem.rename?.bind(fileSystem);
    if (rename === undefined) {
      throw invalidArgument('fileSystem', 'a file system with rename', fileSystem);
    }
    for (const own of [path, partialPath(path)]) {
      if (await isSameFile({ fileSystem, path: own }, store)) {
        throw invalidArgument('path', "another file than the store's own", path);
      }
    }
    await dropSecondName(request);
    const replaced = await openReplaced(request);
    try {
      return new TargetFile(request, rename, { file: await openPartial(request), replaced });
    } catch (error) {
      await Promise.allSettled([replaced?.close()]);
      throw error;
    }
  }

  /** Writes the chunks, without blocking. They must not change until this settles. */
  async write(chunks: readonly Uint8Array[], offset: number): Promise<void> {
    await this.#io('writing', () => this.#file.write(chunks, offset));
  }

  /** Fills `buffer` with bytes that were written before. */
  async read(buffer: Uint8Array, offset: number): Promise<void> {
    const bytes = await this.#io('reading', () => this.#file.read(buffer, offset));
    if (bytes === buffer.length) return;
    const facts = { path: this.#partial, offset, expected: buffer.length, actual: bytes };
    throw new VarveError('VARVE_IO', `'${this.#partial}' lacks bytes that were written`, facts);
  }

  /** Sets the length of the file and makes it durable. */
  async sync(length: number): Promise<void> {
    await this.#io('setting the length', () => this.#file.truncate(length));
    await this.#io('syncing', () => this.#file.datasync());
  }

  /** Gives the file its name, and closes it. Requires: it is synced. */
  async complete(): Promise<void> {
    const { path, overwrite } = this.#request;
    try {
      await this.#rename(this.#partial, path, { overwrite });
    } catch (error) {
      if (systemCode(error) === 'EEXIST') throw existsError(path, error);
      throw ioError('renaming the complete copy', this.#partial, error);
    }
    // The copy is complete and has its name, whatever closing says.
    await Promise.allSettled([this.#file.close(), this.#replaced?.close()]);
  }

  /** Removes the unfinished file. An error of that is not reported: the first one is. */
  async discard(): Promise<void> {
    await Promise.allSettled([this.#emptied()]);
    await Promise.allSettled([this.#file.close(), this.#replaced?.close()]);
  }

  /** Without `remove` it leaves an empty file, which the next backup takes. */
  async #emptied(): Promise<void> {
    const { fileSystem } = this.#request;
    if (fileSystem.remove === undefined) await this.#file.truncate(0);
    else await fileSystem.remove(this.#partial);
  }

  async #io<Result>(action: string, call: () => Promise<Result>): Promise<Result> {
    try {
      return await call();
    } catch (error) {
      throw ioError(action, this.#partial, error);
    }
  }
}

function partialPath(path: string): string {
  return `${path}.partial`;
}

/** True if both paths lead to one file. Rejects with `VARVE_IO`. */
export async function isSameFile(one: StoreFile, other: StoreFile): Promise<boolean> {
  if (one.fileSystem !== other.fileSystem) return false;
  if (one.path === other.path) return true;
  try {
    return (await one.fileSystem.isSame?.(one.path, other.path)) ?? false;
  } catch (error) {
    throw ioError('looking for the file', one.path, error);
  }
}

/**
 * If the power was cut during the rename of an earlier backup, its complete copy may have both
 * names: removes the other one, which would lock the file twice.
 */
async function dropSecondName({ fileSystem, path, overwrite }: TargetRequest): Promise<void> {
  const partial = partialPath(path);
  if (!overwrite || fileSystem.isSame === undefined) return;
  try {
    if (await fileSystem.isSame(path, partial)) await fileSystem.remove?.(partial);
  } catch (error) {
    throw ioError('removing', partial, error);
  }
}

/**
 * Has `write` fill the unfinished file, which gets its final name then. If anything fails, the file
 * is removed.
 */
export async function writeTarget<Result>(
  request: TargetRequest,
  source: StoreFile,
  write: (target: TargetFile) => Promise<Result>,
): Promise<Result> {
  const target = await TargetFile.create(request, source);
  try {
    const result = await write(target);
    await target.complete();
    return result;
  } catch (error) {
    await target.discard();
    throw error;
  }
}

/** The file with the final name, locked; undefined if there is none. */
async function openReplaced(request: TargetRequest): Promise<StorageFile | undefined> {
  const { fileSystem, path, overwrite } = request;
  let file: StorageFile;
  try {
    file = await fileSystem.open(path, { create: false, exclusive: false, readOnly: !overwrite });
  } catch (error) {
    if (!isVarveError(error) && systemCode(error) === 'ENOENT') return undefined;
    if (systemCode(error) === 'EISDIR' && !overwrite) throw existsError(path, error);
    throw openError(path, error);
  }
  if (overwrite) return file;
  await Promise.allSettled([file.close()]);
  throw existsError(path, undefined);
}

/**
 * The unfinished file, locked and empty. What an earlier backup left is removed, not emptied: it
 * may be a second name of a complete copy, if the power was cut during the rename.
 */
async function openPartial({ fileSystem, path }: TargetRequest): Promise<StorageFile> {
  const partial = partialPath(path);
  try {
    for (let openings = 1; ; openings++) {
      const file = await fileSystem.open(partial, writing);
      try {
        if (file.length() === 0) return file;
        if (fileSystem.remove === undefined) {
          await file.truncate(0);
          return file;
        }
        await fileSystem.remove(partial);
      } catch (error) {
        await Promise.allSettled([file.close()]);
        throw error;
      }
      await file.close();
      if (openings === openingsMax) throw new Error('another program keeps making the file');
    }
  } catch (error) {
    throw openError(partial, error);
  }
}
