/**
 * The contract between varve and a disk: all that the store needs of a file, and nothing more.
 *
 * Tests, browsers and other platforms implement it. `test/support/file-system-suite.ts` tests every
 * implementation. This file has types only.
 */

/** Opens files. */
export interface FileSystem {
  /**
   * Opens one file for the life of a store. A writer holds an exclusive lock that ends with its
   * process; if the lock is taken, by this process too, `open` throws `VARVE_LOCKED`. A new file's
   * directory entry is durable before this resolves.
   *
   * Other errors are the system's own, with Node's codes. Varve turns ENOENT into
   * `VARVE_NOT_FOUND`, EEXIST into `VARVE_EXISTS`, EISDIR into `VARVE_NOT_A_STORE`, anything else
   * into `VARVE_IO` with it as `cause`. Therefore use ENOENT only for a missing file that was not
   * to be created; a failed creation has another code, or is `VARVE_IO`.
   */
  open(path: string, options: OpenFileOptions): Promise<StorageFile>;
  /**
   * Gives the file another name: atomic, and durable when it resolves. The file may be open. If
   * `to` exists: EEXIST without `overwrite`, otherwise it is replaced. Backups need it.
   */
  rename?(from: string, to: string, options: { readonly overwrite: boolean }): Promise<void>;
  /** Removes the name of a file, which may be open. ENOENT if there is none. */
  remove?(path: string): Promise<void>;
  /**
   * True if both paths lead to the same file, also through links. False if one leads to none.
   * Without it, paths are compared as strings.
   */
  isSame?(path: string, other: string): Promise<boolean>;
}

export interface OpenFileOptions {
  /** Create the file, and missing folders above it, if it does not exist. */
  readonly create: boolean;
  /** Refuse with EEXIST if it exists. */
  readonly exclusive: boolean;
  /** Take no lock; there will be no writes. */
  readonly readOnly: boolean;
}

/** One open file. Offsets and lengths are bytes. */
export interface StorageFile {
  /** Current length of the file in bytes. */
  length(): number;
  /** Fills `target` from `position`; returns the bytes read, fewer only at the end of the file. */
  readSync(target: Uint8Array, position: number): number;
  read(target: Uint8Array, position: number): Promise<number>;
  /**
   * Writes the consecutive chunks from `position`, all or an error. Grows the file if necessary.
   */
  writeSync(chunks: readonly Uint8Array[], position: number): void;
  /** The chunks must not change until this settles. */
  write(chunks: readonly Uint8Array[], position: number): Promise<void>;
  /** Sets the length. Bytes gained read as zeros. */
  truncate(length: number): Promise<void>;
  truncateSync(length: number): void;
  /**
   * When it resolves, every write and length change that completed before the call survives a power
   * cut.
   */
  datasync(): Promise<void>;
  datasyncSync(): void;
  /** Returns a page-aligned range to the disk; it reads as zeros afterwards. */
  trim?(position: number, length: number): Promise<void>;
  /** Also releases the lock. */
  close(): Promise<void>;
}
