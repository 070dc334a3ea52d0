/**
 * Loads the optional dependency `fs-native-extensions`: byte-range locks that the kernel drops
 * with the process, and holes in files.
 *
 * Invariant: that it cannot be had is no error. It is missing where optional dependencies were
 * left out, where it has no prebuild (musl, FreeBSD, 32-bit), and with `--no-addons`; the lock is
 * the platform's alone then (`node-lock.ts`), and files have no `trim`. Nothing else imports it.
 */

/** What varve uses of the addon, which brings no types. Offsets and lengths are bytes. */
export interface NativeExtensions {
  /** False where another descriptor holds the lock. */
  tryLock(fd: number, offset: number, length: number): boolean;
  unlock(fd: number, offset: number, length: number): void;
  trim(fd: number, offset: number, length: number): Promise<void>;
  /** Needed before `trim` on Windows, which would write the zeros; elsewhere does nothing. */
  sparse(fd: number): Promise<void>;
}

let loading: Promise<NativeExtensions | undefined> | undefined;

/** The addon, or undefined where it cannot be loaded. Loaded once. */
export function loadNativeExtensions(): Promise<NativeExtensions | undefined> {
  loading ??= load();
  return loading;
}

async function load(): Promise<NativeExtensions | undefined> {
  // Deno and many versions of Bun load the addon, but its first call ends the process: they lack a
  // function of libuv's (uv_get_osfhandle; oven-sh/bun#18546), and no catch sees that coming.
  if (process.versions['bun'] !== undefined || process.versions['deno'] !== undefined) {
    return undefined;
  }
  try {
    return await import('fs-native-extensions');
  } catch {
    // Why it cannot be had makes no difference: the platform's own lock has to do.
    return undefined;
  }
}
