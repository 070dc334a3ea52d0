/**
 * Errors in the form of Node's errors of the operating system: `code`, `syscall`, `path`, and a
 * message that begins with the code.
 *
 * Invariant: every backend refuses the same mistakes with the same code, even without an operating
 * system behind it. The store decides what a code means for varve.
 */

const descriptions = {
  EBADF: 'bad file descriptor',
  EEXIST: 'file already exists',
  EINVAL: 'invalid argument',
  EIO: 'i/o error',
  EISDIR: 'illegal operation on a directory',
  ENOENT: 'no such file or directory',
  ENOTDIR: 'not a directory',
  ENOTSUP: 'operation not supported',
  ESTALE: 'the file was replaced while it was opened',
} as const;

export type SystemErrorCode = keyof typeof descriptions;

export interface SystemError extends Error {
  readonly code: SystemErrorCode;
  readonly syscall: string;
  readonly path: string;
}

class PlainSystemError extends Error implements SystemError {
  readonly code: SystemErrorCode;
  readonly syscall: string;
  readonly path: string;

  constructor(code: SystemErrorCode, syscall: string, path: string) {
    super(`${code}: ${descriptions[code]}, ${syscall} '${path}'`);
    this.code = code;
    this.syscall = syscall;
    this.path = path;
  }
}

/** An error as the operating system would report it for `syscall` on `path`. */
export function systemError(code: SystemErrorCode, syscall: string, path: string): SystemError {
  return new PlainSystemError(code, syscall, path);
}

/**
 * Throws EINVAL for an invalid position or length in bytes. A negative position must not reach
 * Node, which would write at the descriptor's current position.
 */
export function checkBytes(bytes: number, syscall: string, path: string): void {
  if (!Number.isSafeInteger(bytes) || bytes < 0) throw systemError('EINVAL', syscall, path);
}
