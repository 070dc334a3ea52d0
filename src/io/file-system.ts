/**
 * The contract between varve and a disk: everything that the store asks of a file, and nothing
 * more.
 *
 * Tests, browsers and other platforms put their own implementation behind it. `test/support/file-
 * system-suite.ts` holds every backend against it. Nothing here does any work.
 */

/** Where files live. */
export interface FileSystem {
  /**
   * Opens one file for the life of a store. A writer holds an exclusive lock that ends with its
   * process (it throws `VARVE_LOCKED` where it is taken, by this process too); a new file's
   * directory entry is durable before this resolves. Other errors are the system's own, with
   * Node's codes: varve turns ENOENT into `VARVE_NOT_FOUND`, EEXIST into `VARVE_EXISTS`, EISDIR
   * into `VARVE_NOT_A_STORE`, anything else into `VARVE_IO` with it as `cause`. So ENOENT is only
   * for a file that is not there and was not to be made, and what keeps one from being made is
   * another code, or `VARVE_IO`.
   */
  open(path: string, options: OpenFileOptions): Promise<StorageFile>;
}

export interface OpenFileOptions {
  /** Make the file, and missing folders above it, where it does not exist. */
  readonly create: boolean;
  /** Refuse with EEXIST where it exists. */
  readonly exclusive: boolean;
  /** No lock, and no write will follow. */
  readonly readOnly: boolean;
}

/** One open file. Offsets and lengths are bytes. */
export interface StorageFile {
  /** Length of the file in bytes, as the disk has it now. */
  length(): number;
  /** Fills `target` from `position`; returns the bytes read, fewer only at the end of the file. */
  readSync(target: Uint8Array, position: number): number;
  read(target: Uint8Array, position: number): Promise<number>;
  /**
   * Writes the chunks one after another from `position`, all or an error. Grows the file where it
   * must.
   */
  writeSync(chunks: readonly Uint8Array[], position: number): void;
  /** The chunks must not change until this settles. */
  write(chunks: readonly Uint8Array[], position: number): Promise<void>;
  /** Sets the length. Bytes gained read as zeros. */
  truncate(length: number): Promise<void>;
  truncateSync(length: number): void;
  /**
   * Every write and length change that completed before the call survives a power cut once it
   * resolves.
   */
  datasync(): Promise<void>;
  datasyncSync(): void;
  /** Gives a page-aligned range back to the disk; it reads as zeros afterwards. */
  trim?(position: number, length: number): Promise<void>;
  /** Releases the lock too. */
  close(): Promise<void>;
}
