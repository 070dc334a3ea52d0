/**
 * What can be made to go wrong on a simulated disk, and what a test is told of each call so that it
 * can choose.
 *
 * Changes (write, truncate, datasync) are numbered together: the state before each is what a power
 * cut is made of. Reads, and opening and closing, change nothing on the disk and have numbers of
 * their own, so that looking more often does not move the cuts. Decides nothing.
 */

/** What is about to be done to the file. */
export interface DiskOperation {
  /** Counted from 0. */
  readonly number: number;
  readonly kind: 'write' | 'truncate' | 'datasync';
  /** Where it writes, or the new length. */
  readonly position: number;
  readonly bytes: number;
  /** The first chunk of a write. */
  readonly first: Uint8Array | undefined;
}

/** The file is about to be read, or asked for its length. */
export interface DiskRead {
  /** Counted from 0, apart from the operations. */
  readonly number: number;
  readonly kind: 'read' | 'length';
  readonly position: number;
  readonly bytes: number;
}

/** The file is about to be opened or closed. */
export interface DiskHandle {
  /** Counted from 0, apart from the operations. */
  readonly number: number;
  readonly kind: 'open' | 'close';
}

/** What a system says of a disk that refuses. */
export type DiskErrorCode = 'EIO' | 'ENOSPC' | 'EDQUOT';

export interface ErrorFault {
  readonly kind: 'error';
  readonly code: DiskErrorCode;
  /**
   * How much of it is done all the same. Unless told: of a write any of its first sectors, of
   * creating a file all or nothing, of a truncate nothing.
   */
  readonly done?: 'all' | 'nothing';
}

/** The write reports success, and its bytes are not where they should be on the disk. */
export type MediumFault = (
  | { readonly kind: 'lost' }
  /** They replace something else: at `to`, where told, a whole sector of the file. */
  | { readonly kind: 'misdirected'; readonly to?: number }
) & {
  /**
   * Reads give the new bytes, from the page cache, until the power goes (`kept`, unless told), or
   * what the disk has.
   */
  readonly cache?: 'kept' | 'dropped';
};

/** A fault of an operation. */
export type Fault =
  | { readonly kind: 'end' }
  | ErrorFault
  /** Of a datasync only: what becomes of the page cache. EIO unless told. */
  | { readonly kind: 'sync'; readonly cache: 'dropped' | 'kept'; readonly code?: DiskErrorCode }
  /** Of a write only. */
  | MediumFault;

/**
 * A fault of a read. `short`: fewer bytes come back than the file has (`bytes` of them, where
 * told), the rest of the target is as it was. A `StorageFile` may do that at the end of the file
 * only, so whoever believes it takes the file for shorter than `length` says.
 */
export type ReadFault =
  | { readonly kind: 'error'; readonly code: 'EIO' }
  | { readonly kind: 'short'; readonly bytes?: number };

/** The process has ended at the operation that an `end` fault was put on. */
export class ProcessEnded extends Error {}

/** The error of the operating system that a fault is. */
export function diskError(fault: Fault | ReadFault, syscall: string): Error {
  const code = 'code' in fault && fault.code !== undefined ? fault.code : 'EIO';
  return Object.assign(new Error(`${code}: made for the test, ${syscall}`), { code, syscall });
}

export function isMediumFault(fault: Fault | undefined): fault is MediumFault {
  return fault?.kind === 'lost' || fault?.kind === 'misdirected';
}
