/**
 * The one error class of varve, its codes, and the builders of its messages.
 *
 * Invariant: everything that varve throws on purpose is a `VarveError` with a stable `code`, a
 * message with both sides of the failed comparison, and the same facts as data fields. It keeps the
 * `cause`, if any. This file prints, retries and decides nothing.
 */

/** A GrainId, repeated here because this file imports nothing. */
type AnyGrainId = bigint & { readonly __grainId: true };

/** All codes that varve throws; the doc comment of each method says when. */
export type VarveErrorCode =
  | 'VARVE_INVALID_ARGUMENT'
  | 'VARVE_NOT_FOUND'
  | 'VARVE_EXISTS'
  | 'VARVE_ALREADY_ARCHIVED'
  | 'VARVE_SESSION_ENDED'
  | 'VARVE_BUSY'
  | 'VARVE_CLOSED'
  | 'VARVE_READ_ONLY'
  | 'VARVE_LOCKED'
  | 'VARVE_NOT_A_STORE'
  | 'VARVE_UNSUPPORTED_VERSION'
  | 'VARVE_CORRUPT'
  | 'VARVE_TOO_LARGE'
  | 'VARVE_LOG_TRUNCATED'
  | 'VARVE_SNAPSHOT_GONE'
  /**
   * The disk refused (full, unplugged, …). The failed commit left nothing behind, and the store
   * works.
   */
  | 'VARVE_IO'
  /**
   * A sync failed, or a failed write could not be undone: the content of the disk is unknown. No
   * more commits until the store is opened again. Reads go on; `close` writes nothing.
   */
  | 'VARVE_POISONED'
  /** An internal check of varve failed. Please report it. */
  | 'VARVE_INTERNAL'
  | 'VARVE_NOT_A_FOREST'
  | 'VARVE_TREE_MISMATCH'
  | 'VARVE_TRANSACTION_ENDED'
  | 'VARVE_SNAPSHOT_RELEASED'
  | 'VARVE_CODEC'
  | 'VARVE_VAULT';

/** The facts of an error that apply. `cause` is the error of the operating system or of a codec. */
export interface VarveErrorFacts {
  readonly path?: string | undefined;
  readonly offset?: number | undefined;
  readonly grainId?: AnyGrainId | undefined;
  readonly batch?: number | undefined;
  readonly pid?: number | undefined;
  readonly expected?: unknown;
  readonly actual?: unknown;
  readonly cause?: unknown;
}

/**
 * The class of every error that varve throws on purpose. Distinguish errors by `code`, never by the
 * message.
 */
export class VarveError extends Error {
  readonly code: VarveErrorCode;
  readonly path: string | undefined;
  /** Byte offset in the file. */
  readonly offset: number | undefined;
  readonly grainId: AnyGrainId | undefined;
  readonly batch: number | undefined;
  /** Process that has the lock (`VARVE_LOCKED`), if the system tells. */
  readonly pid: number | undefined;
  readonly expected: unknown;
  readonly actual: unknown;

  constructor(code: VarveErrorCode, message: string, facts: VarveErrorFacts = {}) {
    super(message, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.name = 'VarveError';
    this.code = code;
    this.path = facts.path;
    this.offset = facts.offset;
    this.grainId = facts.grainId;
    this.batch = facts.batch;
    this.pid = facts.pid;
    this.expected = facts.expected;
    this.actual = facts.actual;
  }
}

/** A value for a message: short, never the bytes themselves. Accepts anything and never throws. */
function shown(value: unknown): string {
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value === 'string')
    return JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}…` : value);
  if (typeof value === 'function') return 'a function';
  if (typeof value === 'object' && value !== null) return shownObject(value);
  return String(value);
}

function shownObject(value: object): string {
  try {
    if (value instanceof Uint8Array) return `${value.length} bytes`;
    return `an object (${value.constructor?.name ?? 'no class'})`;
  } catch {
    // A proxy, or a getter that throws: leave the class name out.
    return 'an object';
  }
}

/** The error for an argument outside of the contract. Nothing has been changed. */
export function invalidArgument(what: string, expected: string, actual: unknown): VarveError {
  const message = `${what}: expected ${expected}, got ${shown(actual)}`;
  return new VarveError('VARVE_INVALID_ARGUMENT', message, { expected, actual });
}

/** The error for stored bytes that violate the format. */
export function corrupt(message: string, facts: VarveErrorFacts = {}): VarveError {
  const place = facts.offset === undefined ? '' : ` at byte ${facts.offset}`;
  const sides =
    facts.expected === undefined && facts.actual === undefined
      ? ''
      : `: expected ${shown(facts.expected)}, found ${shown(facts.actual)}`;
  return new VarveError('VARVE_CORRUPT', `${message}${place}${sides}`, facts);
}

/** The error for a failed internal check. */
export function internal(message: string, facts: VarveErrorFacts = {}): VarveError {
  const words = `${message} (this is a defect in varve, please report it)`;
  return new VarveError('VARVE_INTERNAL', words, facts);
}

/** True for a `VarveError`; with `code`, only for one of that code. */
export function isVarveError(error: unknown, code?: VarveErrorCode): error is VarveError {
  return error instanceof VarveError && (code === undefined || error.code === code);
}

/** The operating system's code of an error (`ENOENT`, `EIO`, …), if it has one. */
export function systemCode(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

/** A `VARVE_IO` with the system's error as its cause; a `VarveError` is returned unchanged. */
export function ioError(action: string, path: string, cause: unknown): VarveError {
  if (cause instanceof VarveError) return cause;
  const reason = cause instanceof Error ? cause.message : String(cause);
  const message = `${action} failed on ${shown(path)}: ${reason}`;
  return new VarveError('VARVE_IO', message, { path, cause });
}

/** The error for a path that is taken. */
export function existsError(path: string, cause: unknown): VarveError {
  const message = `'${path}' exists already: choose another path, or remove the file`;
  return new VarveError('VARVE_EXISTS', message, { path, cause });
}
